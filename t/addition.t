# addition: bodies before and after a body, from files, proxied, redirected, failing.
use lib 't/lib';
use Weir;

my $slow = Weir::Backend->new(sub {
    my ($req) = @_;
    return [404, ['Content-Type' => 'text/html'], "not there\n"] if $req->uri =~ /404/;
    return [200, ['Content-Type' => 'text/html'], 'x' x 300000] if $req->uri =~ /big/;
    return "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nchunk\r\n0\r\n\r\n" if $req->uri =~ /chunked/;
    return "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\nConnection: close\r\n\r\ncut" if $req->uri =~ /cut/;
    return [200, ['Content-Type' => 'text/html', 'X-Up' => 'yes'], $req->method . ' ' . $req->uri . ' ' . length($req->body // '') . "\n"];
});
my $conf = <<'EOC';
events { }
http {
    types { text/html html; text/plain txt; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location / { add_before_body /before.html; add_after_body /after.html; }
        location /plain/ { add_before_body /before.html; addition_types text/plain; }
        location /star/ { add_after_body /after.html; addition_types *; }
        location /only/ { add_after_body /after.html; alias %%TESTDIR%%/html/; }
        location /off/ { add_after_body ""; add_before_body /before.html; alias %%TESTDIR%%/html/; }
        location /inner/ { internal; alias %%TESTDIR%%/html/; }
        location /priv/ { add_before_body /inner/before.html; alias %%TESTDIR%%/html/; }
        location /missing/ { add_before_body /nothing; add_after_body /after.html; alias %%TESTDIR%%/html/; }
        location /ep/ { add_before_body /epsub; alias %%TESTDIR%%/html/; }
        location = /epsub { error_page 404 /after.html; root %%TESTDIR%%/none; }
        location /ret/ { add_before_body /r200; add_after_body /r301; alias %%TESTDIR%%/html/; }
        location = /r200 { return 200 "uri=$uri request=$request_uri method=$request_method\n"; }
        location = /r301 { return 301 /there; }
        location /closed/ { add_before_body /r444; alias %%TESTDIR%%/html/; }
        location = /r444 { return 444; }
        location /rw/ { add_before_body /rewritten; alias %%TESTDIR%%/html/; }
        location = /rewritten { rewrite ^ /after.html last; }
        location /folder/ { add_before_body /d; add_after_body /d/; alias %%TESTDIR%%/html/; }
        location /denied/ { add_before_body /deny/before.html; alias %%TESTDIR%%/html/; }
        location /deny/ { deny all; alias %%TESTDIR%%/html/; }
        location /up/ { add_before_body /proxied/b; add_after_body /proxied/a; alias %%TESTDIR%%/html/; }
        location /up404/ { add_before_body /proxied/404; add_after_body /proxied/chunked; alias %%TESTDIR%%/html/; }
        location /upbig/ { add_before_body /proxied/big; add_after_body /proxied/big2; alias %%TESTDIR%%/html/; }
        location /upcut/ { add_before_body /proxied/cut; add_after_body /after.html; alias %%TESTDIR%%/html/; }
        location /updead/ { add_before_body /dead; add_after_body /after.html; alias %%TESTDIR%%/html/; }
        location /proxied/ { proxy_pass http://%%BACKEND%%; proxy_buffers 4 4k; }
        location = /dead { proxy_pass http://127.0.0.1:%%PORT_9%%; }
        location /both/ { proxy_pass http://%%BACKEND%%; add_before_body /proxied/b; add_after_body /after.html; }
        location /loop { add_after_body /loop; return 200 "loop\n"; default_type text/html; }
        location /hdr/ { add_before_body /hdrsub; alias %%TESTDIR%%/html/; }
        location = /hdrsub { add_header X-Sub yes; return 200 "h\n"; }
        location /mod/ { sub_filter before AFTER; sub_filter page PAGE; add_before_body /before.html; alias %%TESTDIR%%/html/; }
        location /gz/ { gzip on; gzip_min_length 0; add_before_body /before.html; add_after_body /proxied/a; alias %%TESTDIR%%/html/; }
        location /limit/ { limit_rate 1m; add_before_body /before.html; alias %%TESTDIR%%/html/; }
    }
}
EOC
my %files = map { ("html/$_->[0]" => $_->[1]) } ['before.html', "before\n"], ['after.html', "after\n"], ['a.html', "the page\n"], ['a.txt', "text\n"], ['plain/a.txt', "plain\n"], ['star/a.txt', "star\n"],
    ['empty.html', ''], ['d/index.html', "index of d\n"], ['big.html', join '', map { chr(97 + $_ % 26) x 9 . "\n" } 1 .. 30000];
sub get { my ($uri, @fields) = @_; return "GET $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n" }
sub ask { my ($what, @rest) = @_; return ("$what @rest" => get($what, @rest)) }

Weir->compare($conf, [
    map({ ask($_) } qw(/a.html /a.txt /plain/a.txt /star/a.txt /only/a.html /off/a.html /priv/a.html /missing/a.html /ep/a.html /ret/a.html /closed/a.html /rw/a.html /empty.html
        /folder/a.html /denied/a.html /nothing.html /up/a.html /up404/a.html /upbig/a.html /upcut/a.html /updead/a.html /both/x /both/404 /both/cut /both/big /hdr/a.html /mod/a.html /big.html
        /limit/a.html /upbig/big.html /loop)),
    ask('/a.html', 'Range: bytes=0-3'),
    ask('/a.html', 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'),
    ask('/a.html', 'Accept-Encoding: gzip'),
    'HTTP/1.0' => "GET /a.html HTTP/1.0\r\n\r\n",
    'HEAD' => "HEAD /a.html HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    'POST with a body' => "POST /both/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    'two on a connection' => sub { my $c = shift->connect; $c->send("GET /a.html HTTP/1.1\r\nHost: h\r\n\r\nGET /up/a.html HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); $c->response; $c->response },
    'gzip' => sub { my $m = shift->raw(get('/gz/a.html', 'Accept-Encoding: gzip')); require Compress::Zlib; my $text = Compress::Zlib::memGunzip($m->body); $m->{body} = $text // 'not gzip'; $m },
], differ => { '/closed/a.html ' => 'the head of the page stands before the subrequest is made' }, files => \%files, vars => { BACKEND => $slow->addr });
done_testing;
