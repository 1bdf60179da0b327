# The forward proxy: requests in absolute form and CONNECT, what origins see, rules, users, tunnels, lists, PAC.
use lib 't/lib';
use Weir;

my $echo = Weir::Backend->new(sub {
    my $req = shift;
    return [407, ['Proxy-Authenticate' => 'Basic realm="give"'], ''] if $req->uri eq '/steal';
    return [200, ['X-Accel-Redirect' => '/secret', 'Content-Type' => 'text/plain'], 'not led'] if $req->uri eq '/accel';
    return [200, ['Connection' => 'X-Hop', 'X-Hop' => '1', 'X-End' => '2', 'Proxy-Authenticate' => 'Basic'], 'hops'] if $req->uri eq '/hops';
    return [200, ['Content-Type' => 'text/plain'], $req->head . $req->body];
});
my $raw = Weir::Backend->new(sub { my ($c) = @_; while (defined(my $l = $c->line)) { $c->send("got $l"); last if $l =~ /^bye/ } $c->close }, connection => 1);
my $until_eof = Weir::Backend->new(sub { my ($c) = @_; my $all = $c->rest; $c->send('after your end: ' . length $all); $c->close }, connection => 1);

my $big = Weir::Backend->new(sub { my ($b) = @_; $b->send('z' x 65536) for 1 .. 320; $b->close }, connection => 1);
my $auth = Weir::Backend->new(sub { ($_[0]->header('Authorization') // '') eq 'Basic Z29vZA==' ? [204, [], ''] : [401, ['WWW-Authenticate' => 'Basic realm="asked"'], 'no'] });

my $w = Weir->new(vars => { BACKEND => $echo->addr, RAWPORT => $raw->port, AUTH => $auth->addr }, files => {
    'ads.txt' => "ads.example\n*.tracker.example\n0.0.0.0 localhost.ads\n", 'html/pac' => 'x', 'html/secret' => 'the secret file', 'html/index.html' => 'own page',
    users => "alice:{PLAIN}wonder\nbob:{SHA}" . 'fEqNCco3Yq9h5ZUglD3CZJT4lBs=' . "\n",       # 123456
}, conf => <<'EOC')->start;
events { }
http {
    log_format fwd '$remote_user|$status|$forward_proxy_rule|$forward_proxy_port|$forward_proxy_address|$forward_proxy_bytes_up|$forward_proxy_bytes_down|$request';
    access_log %%TESTDIR%%/access.log fwd;
    root %%TESTDIR%%/html;
    forward_proxy_ports all;
    forward_proxy_address allow loopback;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        forward_proxy on;
        forward_proxy_access deny name=ads list=%%TESTDIR%%/ads.txt;
        forward_proxy_access deny name=private path=/private/ host=127.0.0.1;
        forward_proxy_access deny method=DELETE;
        forward_proxy_access allow all;
        location /rewritten { rewrite ^ /other?x=1; }
        location = /proxy.pac { forward_proxy_pac; }
        location = /denied { internal; return 200 "by error_page"; }
        location /paged { error_page 403 /denied; forward_proxy_access deny all; }
        location /templated { forward_proxy_deny_page "<b>$forward_proxy_rule of $host: $arg_q</b>"; forward_proxy_access deny name=t all; }
        location /off { forward_proxy off; return 200 "own: $uri"; }
    }
    server {            # guarded: as it is without further words
        listen 127.0.0.1:%%PORT_1%%;
        forward_proxy on;
        forward_proxy_ports 8080;
        forward_proxy_address deny loopback;
        forward_proxy_access allow all;
    }
    server {
        listen 127.0.0.1:%%PORT_2%%;
        forward_proxy on;
        auth_basic "the proxy";
        auth_basic_user_file %%TESTDIR%%/users;
        forward_proxy_access deny user=bob method=POST;
        forward_proxy_access allow user=alice,bob;
        location /private/ { auth_basic off; forward_proxy_access allow all; }
    }
    server { listen 127.0.0.1:%%PORT_3%%; forward_proxy on; forward_proxy_access allow all; forward_proxy_forwarded append; }
    server { listen 127.0.0.1:%%PORT_4%%; forward_proxy on; forward_proxy_access allow all; forward_proxy_anonymize standard; }
    server { listen 127.0.0.1:%%PORT_5%%; forward_proxy on; forward_proxy_access allow all; forward_proxy_anonymize strict; }
    server { listen 127.0.0.1:%%PORT_6%%; tunnel_pass; location /x { } }
    server { listen 127.0.0.1:%%PORT_7%%; location / { tunnel_pass 127.0.0.1:%%RAWPORT%%; } }
    server { listen 127.0.0.1:%%PORT_8%%; location / { return 200 plain; } }
    server { listen 127.0.0.1:%%PORT_9%%; forward_proxy on; forward_proxy_access allow all; forward_proxy_tunnel_bytes 100; forward_proxy_forwarded rfc7239; forward_proxy_via myname; }
    server { listen 127.0.0.1:%%PORT_10%%; forward_proxy on; }
    server { listen 127.0.0.1:%%PORT_11%%; forward_proxy on; forward_proxy_access allow all; tunnel_read_timeout 200ms; }
    server { listen 127.0.0.1:%%PORT_12%%; forward_proxy on; forward_proxy_access allow all; auth_request /ask; location = /ask { internal; proxy_set_header Authorization $http_proxy_authorization; proxy_pass http://%%AUTH%%; } }
}
EOC

my $origin = $echo->addr;
sub ask {       # (port, request line's beginning, fields…): the answer
    my ($n, $what, @fields) = @_;
    my $body = @fields && ref $fields[-1] ? ${ pop @fields } : '';
    my $c = $w->connect(port => $n =~ /^\d{4,}$/ ? $n : $w->port($n));
    $c->send(join("\r\n", "$what HTTP/1.1", (grep({ /^Host:/ } @fields) ? () : 'Host: ignored.example'), @fields, '', '') . $body);
    my ($method) = $what =~ /^(\S+)/;
    return $c->response(method => $method);
}

# ---- what origins see
{
    my $r = ask(0, "GET http://$origin/a%20b/../c?d=e", 'Host: evil.example', 'User-Agent: t/1', 'Proxy-Connection: keep-alive', 'Proxy-Authorization: Basic c2VjcmV0',
        'Connection: X-Mine, keep-alive', 'X-Mine: 1', 'X-Kept: 2', 'TE: trailers', 'Keep-Alive: 5', 'X-Forwarded-For: 1.2.3.4', 'Via: 1.0 fred');
    is($r->status, 200, 'absolute form');
    my $head = $r->body;
    like($head, qr{^GET /a%20b/\.\./c\?d=e HTTP/1\.1\r\n}, 'the target in origin form, as it came');
    like($head, qr{^Host: \Q$origin\E\r$}m, 'Host is that of the target, whatever the client said');
    unlike($head, qr/Proxy-|X-Mine|^TE:|Keep-Alive|evil|X-Forwarded-For/mi, 'hop-by-hop fields and credentials end here');
    like($head, qr/^X-Kept: 2\r$/m, 'others pass');
    like($head, qr/^Via: 1\.0 fred\r\nVia: 1\.1 weir-[0-9a-f]{8}\r$/m, 'Via grows');
    like($r->header('Via'), qr/^1\.1 weir-/, 'in the answer, too');
}
like(ask(0, "POST http://$origin/", 'Content-Length: 5', \'hello')->body, qr/Content-Length: 5\r\n.*hello$/s, 'a body');
like(ask(0, "POST http://$origin/", 'Transfer-Encoding: chunked', \"3\r\nabc\r\n0\r\n\r\n")->body, qr/Content-Length: 3\r\n.*abc$/s, 'a chunked body');
like(ask(0, "HEAD http://$origin/")->status, qr/200/, 'HEAD');
like(ask(0, "GET http://localhost:" . $echo->port . '/name')->body, qr{^GET /name .*Host: localhost:\d+\r}s, 'a name');
like(ask(0, "GET HTTP://$origin")->body, qr{^GET / }, 'scheme in capitals, no path');
like(ask(0, "GET http://$origin/rewritten")->body, qr{^GET /other\?x=1 }, 'what rewrite says goes up');
is(ask(0, "GET http://$origin/off")->body, 'own: /off', 'off in a location');
is(ask(0, 'GET /index.html')->body, 'own page', 'origin form is our own');
like(ask(3, "GET http://$origin/", 'X-Forwarded-For: 1.2.3.4')->body, qr/X-Forwarded-For: 1\.2\.3\.4\r\n.*X-Forwarded-For: 127\.0\.0\.1\r/s, 'forwarded append');
like(ask(9, "GET http://$origin/")->body, qr/Forwarded: for=127\.0\.0\.1\r\nVia: 1\.1 myname\r/, 'forwarded rfc7239, a name for Via');
{
    my $c = $w->connect(port => $w->port(0));
    for (1 .. 3) { $c->send("GET http://$origin/k$_ HTTP/1.1\r\nHost: x\r\n\r\n"); like($c->response->body, qr{^GET /k$_ }, "request $_ of a connection") }
    my $before = $echo->connections;
    for (1 .. 3) { ask(0, "GET http://$origin/n$_") }
    cmp_ok($echo->connections - $before, '<=', 2, 'connections to origins are kept');
}

# ---- what origins say
is(ask(0, "GET http://$origin/steal")->status, 502, 'an origin does not get at credentials of the proxy');
is(ask(0, "GET http://$origin/accel")->body, 'not led', 'X-Accel-Redirect of an origin leads nowhere');
{
    my $r = ask(0, "GET http://$origin/hops");
    ok(!defined $r->header('X-Hop') && !defined $r->header('Proxy-Authenticate') && $r->header('X-End') eq '2', 'hop-by-hop fields of answers');
}
is(ask(0, 'GET http://127.0.0.1:1/')->status, 502, 'nobody there');
is(ask(0, 'GET http://nowhere.invalid/')->status, 502, 'no such name');

# ---- TRACE, OPTIONS, Max-Forwards
like(ask(0, "OPTIONS http://$origin", 'Max-Forwards: 3')->body, qr{^OPTIONS \* HTTP/1\.1\r\n.*Max-Forwards: 2\r}s, 'OPTIONS without a path is of the whole server');
like(ask(0, "OPTIONS http://$origin/p")->body, qr{^OPTIONS /p }, 'OPTIONS of a path');
is(ask(0, "OPTIONS http://$origin/", 'Max-Forwards: 0')->header('Allow') =~ /CONNECT/, 1, 'OPTIONS that ends here');
is(ask(0, "OPTIONS http://$origin/", 'Max-Forwards: 00')->header('Allow') =~ /CONNECT/, 1, 'however a nought is written');
unlike(ask(0, "OPTIONS http://$origin/p", "Max-Forwards: $_")->body, qr/Max-Forwards/, "a number that is none: $_") for 'x', '-1', '1.5', '';
like(ask(0, "OPTIONS http://$origin/p", "Max-Forwards: $_->[0]")->body, qr/^Max-Forwards: $_->[1]\r$/m, "hops: $_->[0]") for ['1', 0], ['007', 6], ['2147483647', 2147483646], ['99999999999999999999999', 2147483647];
unlike(ask(0, "GET http://$origin/", 'Max-Forwards: 0')->body, qr/Max-Forwards/, 'of other methods it means nothing');
{
    my $r = ask(0, "TRACE http://$origin/x", 'Max-Forwards: 0', 'X-A: b', 'Cookie: c', 'Authorization: d');
    is($r->header('Content-Type'), 'message/http', 'TRACE that ends here');
    like($r->body, qr{^TRACE http://\Q$origin\E/x HTTP/1\.1\r\n.*X-A: b\r\n}s, 'tells what came');
    unlike($r->body, qr/Cookie|Authorization/, 'but no secrets');
}
like(ask(0, "TRACE http://$origin/x", 'Max-Forwards: 1')->body, qr/Max-Forwards: 0/, 'TRACE that goes on');

# ---- rules
is(ask(0, 'GET http://ads.example/')->status, 403, 'a list');
like(ask(0, 'GET http://x.tracker.example/')->body, qr/rule "ads"/, 'the page says which rule');
like(ask(0, "DELETE http://$origin/")->body, qr/rule "3"/, 'by number');
like(ask(0, "GET http://$origin/private/x")->body, qr/rule "private"/, 'by path');
is(ask(0, "GET http://$origin/paged")->body, 'by error_page', 'error_page goes before the page of rules');
is(ask(0, "GET http://$origin/templated?q=<i>")->body, '<b>t of 127.0.0.1: &lt;i&gt;</b>', 'a page of one\'s own; what clients say is no HTML');
like(ask(10, "GET http://$origin/")->body, qr/rule "default"/, 'without a rule nobody is let through');
$w->wait_error(qr/forward proxy: DELETE to 127\.0\.0\.1:\d+ is refused by rule "3" \(deny method=DELETE\)/);
{
    $w->write_file('ads.txt', "other.example\n");
    utime time, time, $w->dir . '/ads.txt';
    ok(wait_for(sub { ask(0, 'GET http://other.example/')->status == 403 }, 20), 'a list that changed');
    $w->write_file('ads.txt', '');
    utime time, time + 5, $w->dir . '/ads.txt';
    ok($w->wait_error(qr/\[error\].*ads\.txt" has no names: the one that was read before stays/), 'a broken one is told');
    is(ask(0, 'GET http://other.example/')->status, 403, 'and the one before stays');
}

# ---- users
{
    my $r = ask(2, "GET http://$origin/");
    is($r->status, 407, '407');
    is($r->header('Proxy-Authenticate'), 'Basic realm="the proxy"', 'Proxy-Authenticate');
    is($r->header('WWW-Authenticate'), undef, 'and nothing of the origin\'s');
    is(ask(2, "GET http://$origin/", 'Authorization: Basic YWxpY2U6d29uZGVy')->status, 407, 'credentials for the origin are not ours');
    my $ok = ask(2, "GET http://$origin/", 'Proxy-Authorization: Basic YWxpY2U6d29uZGVy', 'Authorization: Basic b3JpZ2lu');
    is($ok->status, 200, 'a user');
    like($ok->body, qr/^Authorization: Basic b3JpZ2lu\r$/m, 'the origin gets what is for it');
    unlike($ok->body, qr/Proxy-Authorization|YWxpY2U6d29uZGVy/, 'and no more');
    is(ask(2, "GET http://$origin/", 'Proxy-Authorization: Basic Ym9iOng=')->status, 407, 'a wrong password');
    is(ask(2, "GET http://$origin/", 'Proxy-Authorization: Basic Ym9iOjEyMzQ1Ng==')->status, 200, 'another kind of hash');
    is(ask(2, "POST http://$origin/", 'Proxy-Authorization: Basic Ym9iOjEyMzQ1Ng==')->status, 403, 'a rule about a user');
    is(ask(2, "GET http://$origin/private/x")->status, 200, 'a location without users');
    is(ask(2, "CONNECT $origin")->status, 407, 'CONNECT without a user');
    is(ask(2, "CONNECT $origin")->header('Connection'), 'close', 'is the end of the connection');
    is(ask(2, "CONNECT $origin", 'Proxy-Authorization: Basic YWxpY2U6d29uZGVy')->status, 200, 'and with one');
    ok(wait_for(sub { $w->access_log =~ /^alice\|200\|2\|/m }), 'the user and the rule in the log');
    my $asked = ask(12, "GET http://$origin/");
    is($asked->status, 407, 'by subrequest: 407');
    is($asked->header('Proxy-Authenticate'), 'Basic realm="asked"', 'with the challenge of who was asked');
    is(ask(12, "GET http://$origin/", 'Proxy-Authorization: Basic Z29vZA==')->status, 200, 'and let through');
}

# ---- anonymity
{
    my $r = ask(4, "GET http://$origin/", 'From: me@example.com', 'X-Real-IP: 1.2.3.4', 'X-Forwarded-For: 1.2.3.4', 'Forwarded: for=1.2.3.4', 'Via: 1.1 x', 'X-Client-IP: 1.2.3.4', 'traceparent: 00-1', 'User-Agent: mine', 'Cookie: a=b');
    unlike($r->body, qr/1\.2\.3\.4|From|Via|traceparent/i, 'standard: what names the client goes');
    like($r->body, qr/User-Agent: mine\r\n.*Cookie: a=b/s, 'and what a site needs stays');
    is($r->header('Via'), undef, 'the proxy does not tell of itself');
    my $one = ask(5, "GET http://$origin/same", 'User-Agent: Firefox', 'Accept-Language: de, en;q=0.5', 'Cookie: id=1', 'If-None-Match: "id1"', 'X-Any: 1', 'Referer: http://a/', 'DNT: 1', 'Authorization: Basic x')->body;
    my $two = ask(5, "GET http://$origin/same", 'Accept: text/html', 'Accept-Encoding: br', 'accept-language: fr', 'X-Other: 2', 'Cache-Control: no-cache', 'Via: 1.1 other', 'Sec-CH-UA: "x"', 'Connection: close')->body;
    is($one, $two, 'strict: two clients are one to the origin');
    is($one, "GET /same HTTP/1.1\r\nHost: $origin\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nAccept-Encoding: identity\r\nAccept-Language: en\r\n\r\n", 'which looks like this');
    like(ask(5, "GET http://$origin/part", 'Range: bytes=0-3', 'If-Range: "x"')->body, qr/Accept-Language: en\r\nRange: bytes=0-3\r\n\r\n/, 'a part may be asked for');
}

# ---- tunnels
sub tunnel { my ($n, $to, @fields) = @_; my $c = $w->connect(port => $w->port($n)); $c->send(join "\r\n", "CONNECT $to HTTP/1.1", "Host: $to", @fields, '', ''); return ($c, $c->response(method => 'CONNECT')) }
{
    my ($c, $r) = tunnel(0, $raw->addr);
    is($r->status, 200, 'CONNECT');
    is(join(',', grep { defined $r->header($_) } qw(Content-Length Transfer-Encoding Connection)), '', 'its head has no framing');
    $c->send("one\n");
    is($c->line, "got one\n", 'bytes both ways');
    $c->send("bye\n");
    is($c->line, "got bye\n", 'more of them');
    ok($c->closed, 'closed by the other side');
    $c->close;
    ok(wait_for(sub { $w->access_log =~ /\|200\|4\|\d+\|127\.0\.0\.1:\d+\|8\|16\|CONNECT / }), 'the log tells bytes, rule and address');
}
{
    my ($c, $r) = tunnel(0, $until_eof->addr);
    $c->send('x' x 1000);
    $c->finish;
    is($c->rest, 'after your end: 1000', 'the end of one direction is not that of the other');
}
{
    my $c = $w->connect(port => $w->port(0));
    $c->send("CONNECT " . $raw->addr . " HTTP/1.1\r\nHost: x\r\n\r\nearly\n");
    is($c->response(method => 'CONNECT')->status, 200, 'bytes behind the head');
    is($c->line, "got early\n", 'go through the tunnel');
}
{
    my ($c, $r) = tunnel(0, 'localhost:' . $raw->port);
    $c->send("name\n");
    is($c->line, "got name\n", 'to a name');
    ($c, $r) = tunnel(9, $raw->addr);
    $c->send(('y' x 99) . "\n");
    ok(defined $c->rest, 'forward_proxy_tunnel_bytes ends a tunnel');
    ok($w->wait_error(qr/the tunnel has come to its limit/), 'and it is told');
    ($c, $r) = tunnel(11, $raw->addr);
    ok($c->closed(5), 'tunnel_read_timeout');
    is((tunnel(0, '127.0.0.1:1'))[1]->status, 502, 'nobody there');
    ($c, $r) = tunnel(6, $raw->addr);
    $c->send("pass\n");
    is($c->line, "got pass\n", 'tunnel_pass alone: to what was asked for');
    ($c, $r) = tunnel(7, 'what.example:443');
    $c->send("fixed\n");
    is($c->line, "got fixed\n", 'tunnel_pass with an address');
    is((tunnel(8, $raw->addr))[1]->status, 405, 'a server without either: 405');
    is(ask(6, "TRACE http://$origin/")->status, 405, 'tunnel_pass is no leave for TRACE');
    ($c, $r) = tunnel(0, $big->addr);
    is(length $c->rest, 320 * 65536, 'twenty megabytes through a kernel pipe, all of them');
}
{
    my $pac = ask(0, 'GET /proxy.pac');
    is($pac->header('Content-Type'), 'application/x-ns-proxy-autoconfig', 'PAC');
    like($pac->body, qr/return "PROXY 127\.0\.0\.1:@{[$w->port(0)]}"/, 'names the proxy');
    like($pac->body, qr/isInNet\(host, "10\.0\.0\.0", "255\.0\.0\.0"\)/, 'and nets that it does not lead to');
    unlike($pac->body, qr/"127\.0\.0\.0"/, 'but those it does lead to');
}

# ---- abuse: each is refused, and nothing comes to the origin
my $port = $echo->port;
my $own = $w->port(1);
my @hosts = ('127.0.0.1', 'localhost', '2130706433', '017700000001', '0x7f000001', '0x7f.0.0.1', '0177.0.0.1', '127.1', '127.0.1', '127.0.0.01', '0127.0.0.1', '127.0.0.1.', '[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]',
    '[64:ff9b::7f00:1]', '[2002:7f00:1::]', '[2001:0:53aa:64c:0:0:80ff:fffe]', '0.0.0.0', '0', '[::]', '10.0.0.1', '172.16.0.1', '192.168.1.1', '100.64.0.1', '169.254.169.254', '169.254.1.1', '[fe80::1]', '[fd00:ec2::254]', '[fc00::1]',
    '224.0.0.1', '[ff02::1]', '255.255.255.255', '240.0.0.1', '192.0.2.1', '[2001:db8::1]', '[fe80::1%25lo]', '127.0.0.1.5', '256.256.256.256', '1.2.3.400', "\xef\xbc\x91.example", 'a..b', '-.%00', 'x' x 64 . '.example', join('.', ('y' x 60) x 5), 'user@127.0.0.1', 'user:pass@127.0.0.1',
    '127.0.0.1@example.com', 'exam_ple,com', "exam'ple", '127.0.0.1#.example.com', '127.0.0.1\\.example.com', '[::1', '::1', '[127.0.0.1]');
my ($plain, $connect) = (0, 0);
my $before = $echo->requests;
for my $host (@hosts) {
    my $r = ask(1, "GET http://$host:8080/");
    $plain++ if ok($r && $r->status =~ /^(400|403)$/, "GET to $host: " . ($r ? $r->status : 'closed'));
    $r = ask(1, "CONNECT $host:8080");
    $connect++ if ok($r && $r->status =~ /^(400|403)$/, "CONNECT to $host: " . ($r ? $r->status : 'closed'));
}
my @odd = (
    ['a port that is not listed', "CONNECT example.com:25", 403], ['port 0', 'CONNECT example.com:0', 400], ['no port', 'CONNECT example.com', 400], ['port 65536', 'CONNECT example.com:65536', 400], ['a port in words', 'CONNECT example.com:https', 400],
    ['CONNECT with a path', 'CONNECT example.com:443/x', 400], ['CONNECT with a scheme', 'CONNECT http://example.com:443', 400], ['CONNECT of an origin form', 'CONNECT /', 400],
    ['CONNECT with a length', 'CONNECT example.com:443', 400, 'Content-Length: 5'], ['CONNECT with chunks', 'CONNECT example.com:443', 400, 'Transfer-Encoding: chunked'], ['another scheme', 'GET ftp://example.com/', 403], ['https in absolute form to loopback', 'GET https://127.0.0.1/', 403],
    ['gopher', 'GET gopher://127.0.0.1:8080/_x', 403], ['file', 'GET file:///etc/passwd', 400], ['two Hosts', 'GET http://example.com/', 400, 'Host: a', 'Host: b'], ['a Host that is none', 'GET http://example.com/', 400, 'Host: a b'], ['a Host with a user', 'CONNECT example.com:443', 400, 'Host: a@b'],
    ['length and chunks', 'POST http://example.com/', 400, 'Content-Length: 1', 'Transfer-Encoding: chunked'], ['two lengths', 'POST http://example.com/', 400, 'Content-Length: 1', 'Content-Length: 2'], ['two proxy credentials', 'GET http://example.com/', 400, 'Proxy-Authorization: Basic x', 'Proxy-Authorization: Basic y'],
    ['a folded field', 'GET http://example.com/', 400, "X-A: b\r\n c"], ['TRACE with a body', 'TRACE http://example.com/', 400, 'Content-Length: 3'], ['TRACE of an origin form', 'TRACE /', 405], ['an encoded NUL', 'GET http://example.com/%00', 400], ['above the root', 'GET http://example.com/../../x', 400],
    ['itself', "GET http://127.0.0.1:$own/", 403], ['a tunnel to itself', "CONNECT 127.0.0.1:$own", 403],
);
my $via = ask(0, "GET http://$origin/")->body =~ /^Via: 1\.1 (\S+)\r/m ? $1 : '';
push @odd, ['a loop', 'GET http://example.com/', 403, "Via: 1.1 a, 1.1 $via (weir)"], ['a loop by CONNECT', 'CONNECT example.com:443', 403, "Via: 1.0 $via"];
my $others = 0;
for (@odd) {
    my ($what, $line, $status, @fields) = @$_;
    my $r = ask(1, $line, @fields);
    $others++ if is($r ? $r->status : 'closed', $status, $what);
}
{
    my $c = $w->connect(port => $w->port(1));
    $c->send("CONNECT 127.0.0.1:8080 HTTP/1.1\r\nHost: x\r\n\r\nGET http://$origin/smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
    like($c->rest, qr{^HTTP/1\.1 403 (?!.*HTTP/1\.1).*}s, 'what follows a CONNECT that is refused is no request');
}
is(ask($w->port(0), "GET http://127.0.0.1:" . $w->port(0) . '/')->status, 403, 'not to its own address, whatever is allowed');
is($echo->requests - $before, 1, 'nothing of it came to the origin');
cmp_ok($plain + $connect + $others, '>=', 60, ($plain + $connect + $others) . ' cases of abuse refused');

# ---- clients
SKIP: {
    skip 'no curl', 5 unless `curl --version 2>/dev/null` =~ /^curl/;
    my $p = $w->port(0); my $u = $w->port(2);
    like(`curl -s -x http://127.0.0.1:$p http://$origin/curl`, qr{^GET /curl HTTP/1\.1\r\n}, 'curl -x');
    like(`curl -s -p -x http://127.0.0.1:$p http://$origin/tunnel`, qr{^GET /tunnel HTTP/1\.1\r\n}, 'curl -p');
    like(`curl -s -x http://127.0.0.1:$u --proxy-user alice:wonder http://$origin/user`, qr{^GET /user }, 'curl --proxy-user');
    like(`curl -s -p --proxy-anyauth -x http://127.0.0.1:$u --proxy-user alice:wonder http://$origin/any`, qr{^GET /any }, 'curl --proxy-anyauth through a tunnel');
    is(`curl -s -o /dev/null -w '%{http_code}' -x http://127.0.0.1:$u http://$origin/`, 407, 'curl without a user');
}
done_testing;
