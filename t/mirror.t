# mirror: copies of requests; the client never waits for them, and they outlive it.
use lib 't/lib';
use Weir;

pipe my $got, my $tell or die;
my $mirror = Weir::Backend->new(sub {
    my ($req) = @_;
    syswrite $tell, join(' ', $req->method, $req->uri, length($req->body // ''), $req->header('X-Who') // '-', $req->header('X-Scheme') // '-') . "\n";
    return [200, [], 'z' x 500000] if $req->uri =~ /big/;
    return [500, [], 'broken'];
});
my $back = Weir::Backend->new(sub { my ($req) = @_; return [200, [], join ' ', $req->method, $req->uri, length($req->body // ''), "\n"] });
my $conf = <<'EOC';
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        client_body_buffer_size 4k;
        location / { mirror /mirror; proxy_pass http://%%BACK%%; }
        location /two/ { mirror /mirror; mirror /mirror2; proxy_pass http://%%BACK%%; }
        location /nobody/ { mirror /mirror; mirror_request_body off; proxy_pass http://%%BACK%%; }
        location /off/ { mirror off; proxy_pass http://%%BACK%%; }
        location /static/ { mirror /mirror; alias %%TESTDIR%%/html/; }
        location /gone/ { mirror /nothing; alias %%TESTDIR%%/html/; }
        location /try/ { mirror /mirror; try_files /none /off/t; }
        location /big/ { mirror /mirrorbig; alias %%TESTDIR%%/html/; }
        location = /mirror { internal; proxy_pass http://%%MIRROR%%/m$request_uri; proxy_set_header X-Who $remote_addr; proxy_set_header X-Scheme $scheme; }
        location = /mirror2 { internal; proxy_pass http://%%MIRROR%%/second; }
        location = /mirrorbig { internal; proxy_pass http://%%MIRROR%%/big; }
    }
}
EOC
my %files = ('html/a.txt' => "the file\n", 'html/big.txt' => 'b' x 1000000);
sub lines { my $n = shift; my $text = ''; while (($text =~ tr/\n//) < $n) { sysread($got, $text, 4096, length $text) or last } return join '', sort map { "$_\n" } split /\n/, $text }
sub get { my ($uri, @fields) = @_; return "GET $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n" }
sub with { my ($n, $bytes) = @_; return sub { my $m = shift->raw($bytes); $m->{body} .= lines($n); $m } }
sub post { my ($uri, $n) = @_; return "POST $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\nContent-Length: $n\r\n\r\n" . 'p' x $n }

my $w = Weir->compare($conf, [
    'proxied' => with(1, get('/x?y=1')),
    'two mirrors' => with(2, get('/two/x')),
    'static' => with(1, get('/static/a.txt')),
    'missing' => with(1, get('/static/none')),
    'none' => get('/off/x'),
    'to nothing' => get('/gone/a.txt'),
    'with a body' => with(1, post('/p', 11)),
    'with a body in a file' => with(2, post('/two/p', 100000)),
    'a body that is not mirrored' => post('/off/', 11),
    'chunked' => with(1, "POST /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    'HEAD' => with(1, "HEAD /static/a.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
    'PUT' => with(1, "PUT /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab"),
    'try_files goes before' => get('/try/x'),
    'a big answer' => with(1, get('/big/a.txt')),
    'too large' => "POST /p HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 100000000\r\n\r\n",
], files => \%files, vars => { BACK => $back->addr, MIRROR => $mirror->addr });

my $m = $w->raw(post('/nobody/p', 11));
is($m->body, "POST /nobody/p 11 \n", 'mirror_request_body off: the request itself has its body');
is(lines(1), "POST /m/nobody/p 0 127.0.0.1 http\n", 'and its copy has none');

# A mirror that never answers: the connection goes on at once, and so does the mirror when the client is gone.
pipe my $there, my $told or die;
my $hang = Weir::Backend->new(sub { my ($req, $conn) = @_; syswrite $told, 'x'; $conn->line; syswrite $told, 'y'; undef }, timeout => 30);
my $v = Weir->new(conf => <<'EOC', vars => { HANG => $hang->addr }, files => \%files)->start;
events { }
http {
    log_format m '$request $uri $status';
    access_log %%TESTDIR%%/access.log m;
    log_subrequest on;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location / { mirror /m; }
        location = /m { proxy_pass http://%%HANG%%; proxy_read_timeout 500ms; }
        location /post/ { post_action /done; alias %%TESTDIR%%/html/; }
        location = /done { return 204; }
        location /named/ { post_action @done; alias %%TESTDIR%%/html/; }
        location @done { return 204; }
    }
}
EOC
my $c = $v->connect;
for (1 .. 3) { $c->send("GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n"); is($c->response->body, "the file\n", "answer $_ is there while its mirror hangs") }
sysread $there, my $x, 1 for 1 .. 3;
$c->close;
sysread $there, $x, 1 for 1 .. 3;
is($x, 'y', 'the mirrors time out by themselves');
ok($v->wait_error(qr/upstream timed out .*client: 127\.0\.0\.1, server: , request: "GET \/a\.txt HTTP\/1\.1", subrequest: "\/m", upstream: "[^"]+", host: "h"/), 'their log lines know whose they were');
ok(wait_for(sub { (() = $v->access_log =~ /a\.txt HTTP\/1\.1 \/m 504\n/g) == 3 }), 'log_subrequest: they are logged') or diag $v->access_log;
$v->get($_) for '/post/a.txt', '/named/a.txt';
ok(wait_for(sub { $v->access_log =~ m{/post/a\.txt HTTP/1\.1 /done 204} && $v->access_log =~ m{/named/a\.txt HTTP/1\.1 /named/a\.txt 204} }), 'post_action') or diag $v->access_log;
done_testing;
