# What is decided anew for each peer: whether it may be asked, from where, and with what; and what an answer's X-Accel-… fields do,
# beside nginx.
use lib 't/lib';
use Weir;
use Weir::Pem;
use Time::HiRes 'time';

my $one = Weir::Backend->new(sub { my $req = shift; [$req->uri =~ /fail/ ? 503 : 200, [], join ' ', 'one', $req->header('X-Addr') // '-', $req->header('X-Name') // '-', $req->header('X-From') // '-', $req->body] });
my $two = Weir::Backend->new(sub { my ($req, $conn) = @_; join ' ', 'two', $conn->sock->peerhost, $req->header('X-Addr') // '-', $req->header('X-Name') // '-', $req->body });
my @more = map { Weir::free_port() } 1 .. 3;
my $pem = Weir::Pem->new(Weir::scratch() . '/pem')->ca('ca');
$pem->issue('leaf', by => 'ca', names => ['localhost']);
my $w = Weir->new(vars => { ONE => $one->addr, TWO => $two->addr, PEM => Weir::scratch() . '/pem', TWOPORT => $two->port }, conf => <<'EOC')->start;
worker_processes 1;
events { }
http {
    log_format l "$uri $status $upstream_addr $upstream_status $upstream_last_addr";
    access_log access.log l;
    map $upstream_last_addr $good { volatile; %%TWO%% 1; default 0; }
    map $upstream_last_addr $from { volatile; %%TWO%% 127.0.0.3; default 127.0.0.2; }
    upstream pair { server %%ONE%% max_fails=0; server localhost:%%TWOPORT%% max_fails=0 backup; }
    upstream secure { server localhost:%%PORT_1%%; }
    proxy_set_header X-Addr $upstream_last_addr;
    proxy_set_header X-Name $upstream_last_server_name;
    proxy_next_upstream error timeout http_503 denied non_idempotent;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://pair; }
        location /again { proxy_request_dynamic on; proxy_pass http://pair; }
        location /body { proxy_request_dynamic on; proxy_set_body "body for $upstream_last_addr"; proxy_pass http://pair; }
        location /allow { proxy_allow_upstream $good; proxy_request_dynamic on; proxy_pass http://pair; }
        location /both { proxy_allow_upstream $good $arg_more; proxy_pass http://pair; }
        location /deny { proxy_allow_upstream 1 ""; proxy_pass http://pair; }
        location /nonext { proxy_next_upstream error; proxy_allow_upstream $good; proxy_pass http://pair; }
        location /from { proxy_bind $from; proxy_bind_dynamic on; proxy_pass http://pair; }
        location /tls { proxy_request_dynamic on; proxy_ssl_verify on; proxy_ssl_trusted_certificate %%PEM%%/ca.pem; proxy_ssl_server_name on; proxy_ssl_name $upstream_last_server_name; proxy_pass https://secure; }
        location /tlsfixed { proxy_ssl_verify on; proxy_ssl_trusted_certificate %%PEM%%/ca.pem; proxy_ssl_server_name on; proxy_ssl_name $upstream_last_server_name; proxy_pass https://secure; }
    }
    server { listen 127.0.0.1:%%PORT_1%% ssl; listen [::1]:%%PORT_1%% ssl; ssl_certificate %%PEM%%/leaf.pem; ssl_certificate_key %%PEM%%/leaf.key; return 200 "tls [$ssl_server_name]"; }
}
EOC
sub body { my $m = $w->get(@_); return $m->status == 200 ? $m->body : $m->status }
my ($a1, $a2, $name) = ($one->addr, $two->addr, 'localhost:' . $two->port);
is(body('/'), 'one - - - ', 'a request that is made once knows no peer');
is(body('/again'), "one $a1 $a1 - ", 'made for the peer');
is(body('/again/fail'), "two 127.0.0.1 $a2 $name ", 'and for the next one');
is(body('/body/fail'), "two 127.0.0.1 $a2 $name body for $a2", 'the body as well');
my $c = $w->connect;
$c->request('POST', '/again/fail', body => 'x' x 30000);
is($c->response->body, "two 127.0.0.1 $a2 $name " . 'x' x 30000, 'a client\'s body goes again');
$one->forget;
is(body('/allow'), "two 127.0.0.1 $a2 $name ", 'a peer that is not allowed is passed over');
is($one->requests, 0, 'nobody asked it');
is(body('/both?more=1'), 'two 127.0.0.1 - - ', 'all conditions hold');
is(body("/both?more=$_"), 502, "they do not: [$_]") for '0', '';
is(body('/deny'), 502, 'nobody is allowed');
ok($w->wait_error(qr/access to the upstream is denied/), 'the log says so');
is(body('/nonext'), 502, 'without "denied" no other is asked');
is(body('/from/fail'), 'two 127.0.0.3 - - ', 'from an address of the peer\'s');
is(body('/tls'), 'tls [localhost]', 'TLS by the name of the server, verified');
is(body('/tlsfixed'), 502, 'which is not known before');
like(join("\n", $w->wait_access(16)), qr{^/again/fail 200 \Q$a1, $a2\E 503, 200 \Q$a2\E$}m, 'the last one, for the log');

# X-Accel-…
my $text = join '', map { "line $_\n" } 1 .. 300;
my %accel = (
    expires => "X-Accel-Expires: 60\r\n", expires0 => "X-Accel-Expires: 0\r\n", at => "X-Accel-Expires: \@2000000000\r\n",
    no => "X-Accel-Buffering: no\r\n", yes => "X-Accel-Buffering: yes\r\n", odd => "X-Accel-Buffering: maybe\r\n",
    utf => "X-Accel-Charset: utf-8\r\n", koi => "X-Accel-Charset: koi8-r\r\n", rate => "X-Accel-Limit-Rate: 1000000\r\n", badrate => "X-Accel-Limit-Rate: fast\r\n",
    inside => "X-Accel-Redirect: /inside/x?y=1\r\nX-Accel-Charset: utf-8\r\nExpires: Thu, 01 Jan 1970 00:00:00 GMT\r\nCache-Control: private\r\nSet-Cookie: a=b\r\nX-Lost: 1\r\n",
    named => "X-Accel-Redirect: \@named\r\nSet-Cookie: a=b\r\n", outside => "X-Accel-Redirect: http://elsewhere/\r\n", up => "X-Accel-Redirect: /inside/../../etc\r\n", none => "X-Accel-Redirect: /inside/none\r\n",
    two => "X-Accel-Redirect: /inside/x\r\nX-Accel-Redirect: \@named\r\n", gone => "X-Accel-Redirect: \@nobody\r\n", status => "X-Accel-Redirect: /inside/x\r\n",
);
my $accel = Weir::Backend->new(sub {
    my ($name) = $_[0]->uri =~ m{(\w+)$};
    my $status = $name eq 'status' ? 404 : 200;
    return "HTTP/1.1 $status X\r\nContent-Type: text/html\r\n$accel{$name}Content-Length: " . length($text) . "\r\n\r\n" . ($_[0]->method eq 'HEAD' ? '' : $text);
});
my $conf = <<'EOC';
events { }
http {
    proxy_http_version 1.1; proxy_set_header Connection ""; charset_types text/html;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://%%B%%; }
        location /charset/ { charset koi8-r; proxy_pass http://%%B%%; }
        location /ignored/ { proxy_ignore_headers X-Accel-Expires X-Accel-Buffering X-Accel-Charset X-Accel-Limit-Rate X-Accel-Redirect; proxy_pass http://%%B%%; }
        location /passed/ { proxy_pass_header X-Accel-Expires; proxy_pass_header X-Accel-Buffering; proxy_pass_header X-Accel-Charset; proxy_pass_header X-Accel-Limit-Rate; proxy_pass_header X-Accel-Redirect; proxy_pass http://%%B%%; }
        location /inside/ { internal; alias %%TESTDIR%%/html/; }
        location @named { return 200 "named $request_method $limit_rate"; }
        location /post/ { proxy_method POST; proxy_pass http://%%B%%; }
        location /hash/ { proxy_headers_hash_max_size 1024; proxy_headers_hash_bucket_size 128; proxy_send_lowat 0; proxy_socket_keepalive on; proxy_pass http://%%B%%; }
    }
}
EOC
sub get { my ($uri, $method) = @_; return ($method // 'GET') . " $uri HTTP/1.1\r\nHost: front.example\r\nContent-Length: 0\r\n\r\n" }
Weir->compare($conf, [
    map({ my $n = $_; map { ("X-Accel $n$_" => get("$_/$n")) } '', '/charset', '/ignored', '/passed' } sort keys %accel),
    map({ ("X-Accel POST $_" => get("/$_", 'POST')) } qw(inside named none)),
    'as a POST' => get('/post/rate'), 'with what is told to the hash' => get('/hash/rate'),
], vars => { B => $accel->addr }, files => { 'html/x' => 'the file inside' },
   differ => { 'X-Accel outside/charset' => 'an error page has the charset of its location, this one too' });

my $slow = Weir::Backend->new(sub { [200, ['X-Accel-Limit-Rate' => 20000], 'z' x 50000] });
my $v = Weir->new(vars => { B => $slow->addr }, conf => 'events { } http { server { listen 127.0.0.1:%%PORT_0%%; location / { proxy_pass http://%%B%%; } } }')->start;
my $from = time;
is(length $v->get('/')->body, 50000, 'X-Accel-Limit-Rate: whole');
ok(time - $from > 0.9, 'and slow');
done_testing;
