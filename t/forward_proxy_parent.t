# Parents of the forward proxy: HTTP, HTTPS and SOCKS5; which one, what it is told, what follows when it fails.
use lib 't/lib';
use Weir;
use Weir::Pem;

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->ca('other');
$pem->issue('parent', by => 'ca', names => ['parent.test']);

my $echo = Weir::Backend->new(sub { my $req = shift; return [200, ['Content-Type' => 'text/plain'], $req->head . $req->body] });
my $talk = Weir::Backend->new(sub { my ($c) = @_; $c->send("220 first\n"); while (defined(my $l = $c->line)) { $c->send("got $l"); last if $l =~ /^bye/ } $c->close }, connection => 1);

# A SOCKS5 server that leads nowhere: it plays all targets itself, and tells what it was told.
sub socks_server {
    my ($c) = @_;
    my (undef, $count) = unpack 'CC', $c->bytes(2);
    my $methods = unpack 'H*', $c->bytes($count);
    my $login = '';
    if ($methods =~ /02/) {
        $c->send("\5\2");
        my (undef, $n) = unpack 'CC', $c->bytes(2);
        $login = $c->bytes($n);
        $login .= ':' . $c->bytes(unpack 'C', $c->bytes(1));
        $c->send($login =~ /wrong/ ? "\1\1" : "\1\0");
        return $c->close if $login =~ /wrong/;
    } else { $c->send("\5\0") }
    my (undef, undef, undef, $kind) = unpack 'CCCC', $c->bytes(4);
    my $host = $kind == 1 ? join '.', unpack 'C4', $c->bytes(4) : $kind == 4 ? unpack 'H*', $c->bytes(16) : $c->bytes(unpack 'C', $c->bytes(1));
    my $port = unpack 'n', $c->bytes(2);
    if ($host =~ /^code-(\d+)/) { $c->send("\5" . chr($1) . "\0\1\0\0\0\0\0\0"); return $c->close }
    # By the byte, and what the target says first in the same breath.
    my $reply = "\5\0\0\3\3abc\0\x50";
    if ($host =~ /^slow/) { $c->send($_) for split //, $reply } else { $c->send($reply . ($host =~ /^first/ ? "220 first\n" : '')) }
    my $n = 0;
    while (defined(my $line = $c->line)) {
        my $head = $line;
        if ($line =~ /HTTP/) { while (defined(my $l = $c->line)) { $head .= $l; last if $l =~ /^\r?\n/ } }
        $n++;
        my $body = "$methods|$login|$kind|$host|$port|$n|$head";
        $c->send($line =~ /HTTP/ ? "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\n\r\n$body" : $body);
    }
}
my $socks = Weir::Backend->new(\&socks_server, connection => 1);
# An HTTP proxy: the host that is asked for says how it answers.
my $odd = Weir::Backend->new(sub {
    my ($c) = @_;
    my $head = '';
    while (defined(my $l = $c->line)) { $head .= $l; last if $l =~ /^\r?\n/ }
    my ($host) = $head =~ m{^\S+ (?:http://)?([^:/ ]+)};
    return $c->close if $host =~ /^closing/;
    return $c->bytes(1) if $host =~ /^hung/;
    return $c->send("SSH-2.0-OpenSSH\r\n") if $host =~ /^garbage/;
    return $c->send('HTTP/1.1 200 OK' . ("\r\nX: " . 'x' x 1000) x 40) if $host =~ /^big/;
    if ($host =~ /^code-(\d+)/) { $c->send("HTTP/1.1 $1 No\r\nProxy-Authenticate: Basic realm=\"parent\"\r\nContent-Length: 2\r\n\r\nno"); return $c->close }
    $c->send("HTTP/1.1 100 Continue\r\n\r\n") if $host =~ /^early/;
    $c->send("HTTP/1.0 200 fine\r\nContent-Length: 5\r\n\r\n" . ($host =~ /^early/ ? "220 first\n" : ''));
    $c->send("got $_") while defined($_ = $c->line);
}, connection => 1);
my $closing = Weir::Backend->new(sub { $_[0]->close }, connection => 1);
my $noise = Weir::Backend->new(sub { $_[0]->send("\0\1\2\3" x 10); $_[0]->close }, connection => 1);

my $dead = Weir::free_port();
my $w = Weir->new(vars => { PEM => $pem->{dir}, SOCKS => $socks->port, ODD => $odd->port, CLOSING => $closing->port, NOISE => $noise->port, DEAD => $dead, ECHO => $echo->port }, files => {
    users => "alice:{PLAIN}wonder\n", login => "alice:wonder\nnot this\n", 'list.txt' => "listed.example\n",
}, conf => <<'EOC')->start;
events { }
http {
    log_format fwd '$status|$forward_proxy_rule|$forward_proxy_parent|$forward_proxy_address|$upstream_addr|$request';
    access_log %%TESTDIR%%/access.log fwd;
    log_format parent '$remote_user|$status|$request|$http_via';
    forward_proxy_ports all;
    forward_proxy_address allow loopback;
    upstream pair { server 127.0.0.1:%%DEAD%% max_fails=1 fail_timeout=1h; server 127.0.0.1:%%PORT_1%%; }
    upstream broken { server 127.0.0.1:%%DEAD%% max_fails=0; breaker errors=50% min=2 open=10m; }
    upstream lost { server 127.0.0.1:%%DEAD%% max_fails=1 fail_timeout=1h; }
    server {            # in front
        listen 127.0.0.1:%%PORT_0%%;
        forward_proxy on;
        forward_proxy_via front;
        forward_proxy_access allow all;
        forward_proxy_connect_timeout 1s;
        tunnel_connect_timeout 1s;
        forward_proxy_parent http://127.0.0.1:%%PORT_1%% login=alice:wonder if=$http_x_http;
        forward_proxy_parent http://127.0.0.1:%%PORT_1%%/ login_file=%%TESTDIR%%/login if=$http_x_file;
        forward_proxy_parent http://127.0.0.1:%%PORT_1%% if=$http_x_nobody;
        forward_proxy_parent http://127.0.0.1:%%PORT_1%% login=alice:no direct if=$http_x_wrong;
        forward_proxy_parent https://127.0.0.1:%%PORT_2%% login=alice:wonder if=$http_x_https;
        forward_proxy_parent socks5://127.0.0.1:%%PORT_3%% login=alice:wonder if=$http_x_weir_socks;
        forward_proxy_parent socks5://127.0.0.1:%%SOCKS%% if=$http_x_socks;
        forward_proxy_parent socks5h://127.0.0.1:%%SOCKS%% login=$http_x_user:pass if=$http_x_user;
        forward_proxy_parent socks5://127.0.0.1:%%SOCKS%% resolve=here if=$http_x_here;
        forward_proxy_parent http://127.0.0.1:%%ODD%% if=$http_x_odd;
        forward_proxy_parent http://127.0.0.1:%%ODD%% http://127.0.0.1:%%PORT_1%% login=alice:wonder if=$http_x_odd_next;
        forward_proxy_parent http://127.0.0.1:%%DEAD%% direct if=$http_x_direct;
        forward_proxy_parent http://127.0.0.1:%%DEAD%% if=$http_x_dead;
        forward_proxy_parent socks5://127.0.0.1:%%CLOSING%% socks5://127.0.0.1:%%NOISE%% https://127.0.0.1:%%NOISE%% http://127.0.0.1:%%DEAD%% http://127.0.0.1:%%PORT_1%% login=alice:wonder if=$http_x_many;
        forward_proxy_parent http://pair login=alice:wonder if=$http_x_pair;
        forward_proxy_parent http://lost direct if=$http_x_lost;
        forward_proxy_parent http://broken direct if=$http_x_broken;
        forward_proxy_parent http://127.0.0.1:%%PORT_1%% login=alice:wonder list=%%TESTDIR%%/list.txt host=*.listed.example;
        forward_proxy_parent direct host=127.0.0.1 path=/plainly/;
    }
    server {            # a parent with users
        listen 127.0.0.1:%%PORT_1%%;
        listen 127.0.0.1:%%PORT_2%% ssl;
        listen 127.0.0.1:%%PORT_3%% socks;
        ssl_certificate %%PEM%%/parent.pem; ssl_certificate_key %%PEM%%/parent.key;
        access_log %%TESTDIR%%/parent.log parent;
        forward_proxy on;
        forward_proxy_via behind;
        auth_basic "the parent";
        auth_basic_user_file %%TESTDIR%%/users;
        forward_proxy_access deny path=/denied;
        forward_proxy_access deny method=CONNECT port=9;
        forward_proxy_access allow user=alice;
    }
    server {            # names and certificates of https parents
        listen 127.0.0.1:%%PORT_4%%;
        forward_proxy on;
        forward_proxy_via front;
        forward_proxy_access allow all;
        forward_proxy_parent_ssl_trusted_certificate %%PEM%%/ca.pem;
        forward_proxy_parent https://127.0.0.1:%%PORT_2%% login=alice:wonder;
        location /named { forward_proxy_parent_ssl_name parent.test; }
        location /other { forward_proxy_parent_ssl_name parent.test; forward_proxy_parent_ssl_trusted_certificate %%PEM%%/other.pem; }
        location /off { forward_proxy_parent_ssl_verify off; }
    }
    server {            # the same, for tunnels
        listen 127.0.0.1:%%PORT_5%%;
        forward_proxy on;
        forward_proxy_access allow all;
        forward_proxy_parent_ssl_trusted_certificate %%PEM%%/ca.pem;
        forward_proxy_parent_ssl_name parent.test;
        forward_proxy_parent https://127.0.0.1:%%PORT_2%% login=alice:wonder;
    }
    server {            # guarded
        listen 127.0.0.1:%%PORT_6%%;
        forward_proxy on;
        forward_proxy_address deny loopback;
        forward_proxy_access deny host=.denied.example;
        forward_proxy_access allow all;
        forward_proxy_parent socks5://127.0.0.1:%%SOCKS%%;
    }
    server {            # SOCKS clients
        listen 127.0.0.1:%%PORT_7%% socks;
        forward_proxy on;
        forward_proxy_access allow all;
        forward_proxy_parent http://127.0.0.1:%%PORT_1%% login=alice:wonder port=%%ECHO%%;
        forward_proxy_parent socks5://127.0.0.1:%%SOCKS%%;
    }
}
EOC

my ($origin, $target) = ($echo->addr, $talk->addr);
sub ask {       # (port, request line's beginning, fields…): the answer
    my ($n, $what, @fields) = @_;
    my $body = @fields && ref $fields[-1] ? ${ pop @fields } : '';
    my $c = $w->connect(port => $w->port($n));
    $c->send(join("\r\n", "$what HTTP/1.1", 'Host: ignored.example', @fields, '', '') . $body);
    return $c->response(method => $what =~ /^(\S+)/);
}
sub tunnel {    # (port, target, fields…): (status, what a line comes to, the connection)
    my ($n, $to, @fields) = @_;
    my $c = $w->connect(port => $w->port($n));
    $c->send(join "\r\n", "CONNECT $to HTTP/1.1", "Host: $to", @fields, '', '');
    my $r = $c->response(method => 'CONNECT') or return (0);
    return ($r->status) if $r->status != 200;
    $c->send("hello\n");
    return (200, $c->line, $c);
}
sub last_line { my ($n) = @_; my @l = $w->wait_access($n); return $l[-1] }

# ---- plain requests
{
    my $r = ask(0, "GET http://$origin/a?b", 'X-Http: 1', 'Proxy-Authorization: Basic Y2xpZW50OnNlY3JldA==');
    is($r->status, 200, 'through an HTTP parent');
    like($r->body, qr{^GET /a\?b HTTP/1\.1\r\nHost: \Q$origin\E\r\n}, 'the origin is asked as always');
    like($r->body, qr{^Via: 1\.1 front\r\nVia: 1\.1 behind\r$}m, 'by both');
    unlike($r->body, qr/Proxy-Auth/i, 'nobody\'s credentials get there');
    ok(wait_for(sub { Weir::slurp($w->dir . '/parent.log') =~ m{^alice\|200\|GET http://\Q$origin\E/a\?b HTTP/1\.1\|1\.1 front$}m }), 'the parent was asked in absolute form, by our user');
    is(last_line(1), "200|1|http://127.0.0.1:@{[$w->port(1)]}|127.0.0.1:@{[$w->port(1)]}|127.0.0.1:@{[$w->port(1)]}|GET http://$origin/a?b HTTP/1.1", 'the log says which parent');
}
like(ask(0, "GET http://$origin/", 'X-File: 1')->body, qr/^Via: 1\.1 behind/m, 'a login out of a file');
like(ask(0, "POST http://$origin/p", 'X-Http: 1', 'Content-Length: 5', \'hello')->body, qr/^POST \/p .*hello$/s, 'a body');
is(ask(0, "OPTIONS http://$origin", 'X-Http: 1')->body =~ /^OPTIONS \* /, 1, 'OPTIONS of a whole server');
is(ask(0, "GET http://$origin/denied", 'X-Http: 1')->status, 403, 'what the parent says is passed on');
{
    my $r = ask(0, "GET http://$origin/", 'X-Nobody: 1');
    is($r->status, 502, 'a parent that wants a login');
    ok(!defined $r->header('Proxy-Authenticate'), 'does not get at that of the client');
    like(ask(0, "GET http://$origin/", 'X-Wrong: 1')->body, qr/^Via: 1\.1 front\r\n\r\n/m, 'one that refuses ours has failed: the next way is taken');
    ok($w->wait_error(qr/the parent asks for, or refuses, a user and a password \(407\)/), 'in the log');
}
{
    my $c = $w->connect(port => $w->port(0));
    for (1 .. 3) { $c->send("GET http://$origin/k$_ HTTP/1.1\r\nHost: x\r\nX-Http: 1\r\n\r\n"); like($c->response->body, qr{^GET /k$_ }, "request $_ of a connection") }
}
like(ask(0, "GET http://$origin/plainly/")->body, qr/^Via: 1\.1 front\r\n\r\n/m, 'a line that says direct');
{
    my $r = ask(0, "GET http://$origin/nothing");
    is($r->status, 403, 'lines of which none fits');
    like($r->body, qr/rule "parent"/, 'refuse');
}
is(ask(0, 'GET http://www.listed.example/', 'X-A: 1')->status, 502, 'by a list: the parent does not find it');
ok(wait_for(sub { Weir::slurp($w->dir . '/parent.log') =~ m{^alice\|502\|GET http://www\.listed\.example/}m }), 'but was asked');

# ---- https parents
is(ask(4, "GET http://$origin/")->status, 502, 'a certificate with another name');
like(ask(4, "GET http://$origin/named")->body, qr/^Via: 1\.1 behind/m, 'with its name');
is(ask(4, "GET http://$origin/other")->status, 502, 'of another authority');
like(ask(4, "GET http://$origin/off")->body, qr/^Via: 1\.1 behind/m, 'not looked at');
is(ask(0, "GET http://$origin/", 'X-Https: 1')->status, 502, 'the system does not know our authority');
is_deeply([(tunnel(5, $target))[0, 1]], [200, "220 first\n"], 'a tunnel within TLS');

# ---- tunnels
{
    my ($status, $line, $c) = tunnel(0, $target, 'X-Http: 1');
    is($line, "220 first\n", 'a tunnel through an HTTP parent');
    is($c->line, "got hello\n", 'leads to the target');
    $c->send("bye\n");
    is($c->rest, "got bye\n", 'and ends as it should');
    ok(wait_for(sub { $w->access_log =~ m{^200\|1\|http://127\.0\.0\.1:@{[$w->port(1)]}\|127\.0\.0\.1:@{[$w->port(1)]}\|127\.0\.0\.1:@{[$w->port(1)]}\|CONNECT \Q$target\E }m }), 'the log knows the parent when it ends');
}
is((tunnel(0, $target, 'X-Weir-Socks: 1'))[1], "220 first\n", 'a tunnel through a SOCKS parent');
is((tunnel(0, $target, 'X-Nobody: 1'))[0], 502, 'a parent that wants a login');
is((tunnel(0, '127.0.0.1:9', 'X-Http: 1'))[0], 403, 'one that says no');
is((tunnel(0, 'early.example:80', 'X-Odd: 1'))[1], "220 first\n", 'what comes with the answer is not lost');
is((tunnel(0, 'plain.example:80', 'X-Odd: 1'))[1], "got hello\n", 'a length in the answer to CONNECT means nothing');

# ---- SOCKS parents
is(ask(0, 'GET http://hidden.onion/x', 'X-Socks: 1')->body =~ s/\r\n.*//sr, '00||3|hidden.onion|80|1|GET /x HTTP/1.1', 'a name is the parent\'s to resolve');
is(ask(0, 'GET http://hidden.onion/y', 'X-Socks: 1')->body =~ s/\r\n.*//sr, '00||3|hidden.onion|80|2|GET /y HTTP/1.1', 'the connection is kept');
is(ask(0, 'GET http://other.onion/y', 'X-Socks: 1')->body =~ s/\r\n.*//sr, '00||3|other.onion|80|1|GET /y HTTP/1.1', 'for that name only');
is(ask(0, 'GET http://hidden.onion/', 'X-User: ann')->body =~ s/\r\n.*//sr, '02|ann:pass|3|hidden.onion|80|1|GET / HTTP/1.1', 'a login');
is(ask(0, 'GET http://hidden.onion/', 'X-User: bea')->body =~ s/\r\n.*//sr, '02|bea:pass|3|hidden.onion|80|1|GET / HTTP/1.1', 'and for that user only');
is(ask(0, 'GET http://192.0.32.1:8080/', 'X-Socks: 1')->body =~ s/\r\n.*//sr, '00||1|192.0.32.1|8080|1|GET / HTTP/1.1', 'an address');
is(ask(0, 'GET http://[2001:db8::1]/', 'X-Socks: 1')->status, 403, 'IPv6 for documentation is nobody\'s');
is(ask(0, 'GET http://localhost/', 'X-Here: 1')->body =~ s/\r\n.*//sr, '00||1|127.0.0.1|80|1|GET / HTTP/1.1', 'resolve=here');
is(ask(0, 'GET http://hidden.invalid/', 'X-Here: 1')->status, 502, 'of what we do not know');
is(ask(0, 'GET http://slow.example/', 'X-Socks: 1')->body =~ s/\r\n.*//sr, '00||3|slow.example|80|1|GET / HTTP/1.1', 'byte by byte');
is((tunnel(0, 'first.example:25', 'X-Socks: 1'))[1], "220 first\n", 'what the target says first');
is(ask(0, "GET http://first.example/", "X-Socks: 1")->status, 502, "a web server says nothing first");
is(ask(0, 'GET http://hidden.onion/', 'X-User: wrong')->status, 502, 'a login that is refused');
for ([1, 502], [2, 403], [4, 502], [5, 502], [6, 504], [77, 502]) {
    is((tunnel(0, "code-$_->[0].example:80", 'X-Socks: 1'))[0], $_->[1], "SOCKS reply $_->[0]");
}

# ---- what fails
for ([403, 403], [404, 502], [407, 502], [429, 429], [500, 502], [503, 503], [504, 504]) {
    is((tunnel(0, "code-$_->[0].example:80", 'X-Odd: 1'))[0], $_->[1], "CONNECT answered with $_->[0]");
}
is((tunnel(0, "$_.example:80", 'X-Odd: 1'))[0], /hung/ ? 504 : 502, "a parent: $_") for qw(closing hung garbage big);
is(ask(0, "GET http://$_.example/", 'X-Odd: 1')->status, 502, "a plain request: $_") for qw(closing garbage);
is(ask(0, "GET http://$origin/", 'X-Dead: 1')->status, 502, 'no parent there');
like(ask(0, "GET http://$origin/", 'X-Direct: 1')->body, qr/^Via: 1\.1 front\r\n\r\n/m, 'direct, when the parent is gone');
ok($w->wait_error(qr{\[warn\].*the parent "http://127\.0\.0\.1:$dead" failed: the request goes without one.*GET http}), 'not without a word');
is((tunnel(0, $target, 'X-Direct: 1'))[1], "220 first\n", 'a tunnel');
like(ask(0, "POST http://$origin/", 'X-Direct: 1', 'Content-Length: 5', \'hello')->body, qr/hello$/, 'a body that was not sent yet');
like(ask(0, "GET http://$origin/", 'X-Many: 1')->body, qr/^Via: 1\.1 behind/m, 'the fifth one');
is((tunnel(0, $target, 'X-Many: 1'))[1], "220 first\n", 'for a tunnel');
is((tunnel(0, 'closing.example:80', 'X-Odd-Next: 1'))[0], 502, 'the next one was asked, and says what it knows');
is((tunnel(0, 'code-503.example:80', 'X-Odd-Next: 1'))[0], 503, 'one that answered has answered');
like(ask(0, "GET http://$origin/$_", 'X-Pair: 1')->body, qr/^Via: 1\.1 behind/m, "of an upstream, $_") for 1 .. 3;
is(scalar(() = $w->error_log =~ /connect\(\) failed.*GET http:\/\/\Q$origin\E\/[123] /g) <= 1, 1, 'a peer that failed is left alone');
like(ask(0, "GET http://$origin/", 'X-Lost: 1')->body, qr/^Via: 1\.1 front\r\n\r\n/m, 'an upstream of which nobody lives') for 1 .. 2;

like(ask(0, "GET http://$origin/", 'X-Broken: 1')->body, qr/^Via: 1\.1 front\r\n\r\n/m, 'an upstream whose breaker opens') for 1 .. 6;
ok($w->wait_error(qr/the breaker of upstream "broken" opens/), 'it did');

# ---- guards
like(ask(6, $_)->body, qr/rule "address"/, "$_ is refused, whoever resolves") for 'GET http://127.0.0.1/', 'GET http://10.0.0.1/', 'GET http://[::1]/', 'GET http://169.254.169.254/', 'GET http://localhost/', 'GET http://x.localhost/', 'CONNECT localhost:443', 'CONNECT [::ffff:127.0.0.1]:443';
like(ask(6, 'GET http://x.denied.example/')->body, qr/rule "1"/, 'a name');
is(ask(6, 'GET http://good.example/')->status, 200, 'others pass');

# ---- SOCKS clients
sub socks_ask { my ($host, $port) = @_; my $c = $w->connect(port => $w->port(7)); $c->send("\5\1\0\5\1\0\3" . chr(length $host) . $host . pack 'n', $port); $c->bytes(2); my $reply = $c->bytes(10) // ''; return (ord substr($reply, 1, 1), $c) }
{
    my ($code, $c) = socks_ask('hidden.onion', 81);
    is($code, 0, 'a SOCKS client through a SOCKS parent');
    $c->send("x\n");
    is($c->line, "00||3|hidden.onion|81|1|x\n", 'leads there');
    ($code, $c) = socks_ask('127.0.0.1', $echo->port);
    $c->send("GET /s HTTP/1.1\r\nHost: x\r\n\r\n");
    like($c->response->body, qr{^GET /s }, 'through an HTTP parent');
    is((socks_ask('code-2.example', 80))[0], 2, 'a parent that says no');
}
unlike($w->error_log, qr/wonder|YWxpY2U6d29uZGVy/, 'no secrets in the log');

# ---- configurations
sub config { my ($words) = @_; return (Weir->new(conf => "events { } http { server { listen 127.0.0.1:%%PORT_0%%; forward_proxy on; forward_proxy_access allow all; forward_proxy_parent $words; } }")->t_binary)[1] }
for (
    ['ftp://a', qr/a parent is "direct", or begins with/], ['http://u:p@h:1', qr/stand in "login=user:password"/], ['http://h:1/x', qr/has no path/], ['direct http://h:1', qr/nobody is asked behind "direct"/],
    ['login=a:b', qr/stand behind the parent/], ['http://127.0.0.1:1 login=x', qr/is not "user:password"/], ['http://127.0.0.1:1 login=x:y login=z:w', qr/one login/], ['http://127.0.0.1:1 resolve=here', qr/is of socks5/],
    ['host=x', qr/no parent/], ['http://127.0.0.1:1 what=x', qr/invalid condition "what=x"/], ['socks5://127.0.0.1:1 resolve=there', qr/"here" or "parent"/], ['http://127.0.0.1:1 login_file=/nonexistent', qr/"\/nonexistent" cannot be read/],
    ['http://127.0.0.1:99999', qr/invalid port/],
) { like(config($_->[0]), $_->[1], "refused: $_->[0]") }
unlike(config('http://u:p@h:1'), qr/p\@h/, 'without the secret');
done_testing;
