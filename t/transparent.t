# listen … transparent: connections that netfilter leads here, by REDIRECT and by TPROXY, IPv4 and IPv6; HTTP by Host, TLS by the name in the
# client hello, all else by its port; to the address that the client was going to, and nowhere else.
use lib 't/lib';
use Weir::Netns;
use Weir;
use Weir::Pem;

$SIG{PIPE} = 'IGNORE';
Weir::Netns::net('lan', '192.168.77', 'fd77:1:');
Weir::Netns::net('wan', '9.77.2', '2a01:77:');
Weir::Netns::within('wan', sub { Weir::Netns::run('ip', 'addr', 'add', '9.77.2.3/24', 'dev', 'eth0') });
my $dns = Weir::Netns::dns(map({ "$_ A 60 9.77.2.2" } 'good.test', 'also.test', 'www.ads.test', 'many.test'), 'good.test AAAA 60 2a01:77::2', 'other.test A 60 9.77.2.3', 'many.test A 60 9.77.2.3');
my $can = Weir::Netns::nft(<<'EOC');
table inet weir_redirect {
    chain led_away {
        type nat hook prerouting priority dstnat;
        iifname "lan" tcp dport { 80, 443, 22, 23, 8080 } redirect to :3129
        iifname "lan" tcp dport { 5000, 5443 } redirect to :3131
        iifname "lan" tcp dport { 6000 } redirect to :3132
        iifname "lan" tcp dport { 7000, 7443 } redirect to :3133
        iifname "lan" tcp dport { 7500 } redirect to :3134
    }
}
EOC
if (!$can) { plan skip_all => 'nftables has no REDIRECT here' }

my $tproxy = Weir::Netns::nft(<<'EOC');
table inet weir_tproxy {
    chain led_here {
        type filter hook prerouting priority mangle;
        meta l4proto tcp socket transparent 1 meta mark set 1 accept
        iifname "lan" meta nfproto ipv4 tcp dport { 81, 82, 444, 3130 } tproxy ip to :3130 meta mark set 1 accept
        iifname "lan" meta nfproto ipv6 tcp dport { 81, 82, 444 } tproxy ip6 to :3130 meta mark set 1 accept
    }
}
EOC
for my $v ('-4', '-6') {
    Weir::Netns::run('ip', $v, 'rule', 'add', 'fwmark', '1', 'lookup', '100');
    Weir::Netns::run('ip', $v, 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', '100');
}
Weir::Netns::run(qw(ip -6 route add default via 2a01:77::2));      # else nobody asks for addresses of IPv6

# ---- origins
my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('good', by => 'ca', names => ['good.test']);
sub origin { my ($code, @o) = @_; return Weir::Netns::within('wan', sub { Weir::Backend->new($code, @o) }) }
my $page = sub { my ($req, $c) = @_; return 'at ' . $c->sock->sockhost . ' from ' . $c->sock->peerhost . "\n" . $req->method . ' ' . $req->uri . "\n" . $req->head };
my $talk = sub { my ($c) = @_; $c->send('hello ' . $c->sock->peerhost . "\n"); while (defined(my $l = $c->line)) { $c->send("got $l"); last if $l =~ /^bye/ } $c->close };
for my $a ('9.77.2.2', '9.77.2.3', '2a01:77::2') {
    origin($page, address => $a, port => $_) for 80, 81, 8080, 5000, 7000;
    origin($page, address => $a, port => $_, ssl => { SSL_cert_file => $pem->file('good.pem'), SSL_key_file => $pem->file('good.key') }, quiet => 1) for 443, 444, 5443, 7443;
    origin($talk, address => $a, port => $_, connection => 1) for 22, 23, 82, 6000;
}

my $w = Weir->new(files => { 'ads.txt' => "ads.test\n" }, conf => <<'EOC')->start;
user nobody nogroup;
events { }
http {
    log_format led '$remote_addr|$forward_proxy_original|$forward_proxy_protocol|$host|$forward_proxy_sni|$request|$server_protocol|$status|$forward_proxy_rule|$forward_proxy_address|$forward_proxy_bytes_up|$forward_proxy_bytes_down|';
    access_log %%TESTDIR%%/access.log led;
    forward_proxy_opaque_ports 22 82;
    forward_proxy_ports 22 23 81 82 444 5000 5443 6000 7000 7443 8080 3129;
    server {
        listen 3129 transparent;
        listen [::]:3129 transparent;
        listen 3130 transparent;
        listen [::]:3130 transparent;
        listen 127.0.0.1:%%PORT_0%%;
        forward_proxy on;
        forward_proxy_access deny name=ads list=%%TESTDIR%%/ads.txt;
        forward_proxy_access deny name=server host=9.77.2.3 port=8080;
        forward_proxy_access deny name=six host=[2a01:77::2] port=8080;
        forward_proxy_access deny name=path path=/secret;
        forward_proxy_access allow name=names host=*.test;
        forward_proxy_access allow name=ssh port=22,82;
        forward_proxy_access allow name=plain if=$arg_plain;
        forward_proxy_access allow name=two host=9.77.2.2,[2a01:77::2];
        tunnel_bind $remote_addr transparent;
        tunnel_connect_timeout 2s;
    }
    server {            # by address where the name is not believed
        listen 3131 transparent;
        listen [::]:3131 transparent;
        forward_proxy on;
        forward_proxy_verify_host address;
        forward_proxy_access deny name=ads list=%%TESTDIR%%/ads.txt;
        forward_proxy_access allow name=names host=*.test;
        forward_proxy_access allow name=two host=9.77.2.2;
        forward_proxy_via off;
    }
    server {            # no looking, credentials that nobody can be asked for
        listen 3132 transparent;
        forward_proxy on;
        forward_proxy_opaque_ports 6000;
        forward_proxy_access allow all;
        forward_proxy_address deny 9.77.2.3;
    }
    server { listen 3134 transparent; forward_proxy on; forward_proxy_access allow all; client_header_timeout 300ms; }
    server {
        listen 3133 transparent;
        forward_proxy on;
        forward_proxy_verify_host off;
        forward_proxy_access allow name=names host=*.test;
        auth_basic "nobody can be asked";
        auth_basic_user_file %%TESTDIR%%/users;
        satisfy any;
        allow 192.168.77.2;
        deny all;
    }
}
EOC

sub dial { my ($to, $port) = @_; return Weir::Netns::within('lan', sub { Weir::Conn->new(addr => $to, port => $port) }) }
sub ask { my ($to, $port, @lines) = @_; my $c = dial($to, $port); $c->send(join("\r\n", @lines, '', '')); return $c->response(method => $lines[0] =~ /^(\S+)/) }
sub get { my ($to, $port, $host, $uri, @more) = @_; return ask($to, $port, 'GET ' . ($uri // '/') . ' HTTP/1.1', "Host: $host", 'Connection: close', @more) }
sub secure { my ($to, $port, $name) = @_; return eval { Weir::Netns::within('lan', sub { Weir::Conn->new(addr => $to, port => $port, ssl => { $name ? (SSL_hostname => $name) : () }) }) } }
my $seen = 0;
sub logged { my @all = $w->wait_access(++$seen); return $all[$seen - 1] // '' }
sub rule { my @f = split /\|/, logged(); return "$f[7] $f[8]" }

# ---- HTTP
{
    my $r = get('9.77.2.2', 80, 'good.test', '/page?x=1', 'X-Mine: yes');
    is($r->status, 200, 'HTTP by REDIRECT');
    like($r->body, qr{^at 9\.77\.2\.2 from 9\.77\.2\.1\nGET /page\?x=1\n}, 'to the address that the client was going to');
    like($r->body, qr/^Host: good\.test\r$/mi, 'Host');
    like($r->body, qr/^X-Mine: yes\r$/m, 'the client\'s own fields');
    like($r->body, qr/^Via: 1\.1 weir-/m, 'Via');
    is(logged(), '192.168.77.2|9.77.2.2:80|http|good.test|-|GET /page?x=1 HTTP/1.1|HTTP/1.1|200|names|9.77.2.2:80|-|-|', 'its line in the log');
    like(get('2a01:77::2', 80, 'good.test')->body, qr{^at 2a01:77::2 from 2a01:77::1\n}, 'IPv6');
    is(logged(), 'fd77:1::2|[2a01:77::2]:80|http|good.test|-|GET / HTTP/1.1|HTTP/1.1|200|names|[2a01:77::2]:80|-|-|', 'its line');
    like(get('9.77.2.2', 8080, 'good.test:8080')->body, qr{^at 9\.77\.2\.2 .*^Host: good\.test:8080\r$}ms, 'another port');
    like(get('9.77.2.2', 8080, 'good.test')->body, qr{^Host: good\.test:8080\r$}m, 'that Host does not say');
    like(get('9.77.2.2', 80, '9.77.2.2')->body, qr{^at 9\.77\.2\.2 }, 'an address for a name');
    like(get('2a01:77::2', 80, '[2a01:77::2]')->body, qr{^at 2a01:77::2 }, 'of IPv6');
    like(ask('9.77.2.2', 80, 'GET / HTTP/1.0')->body, qr{^at 9\.77\.2\.2 .*^Host: 9\.77\.2\.2\r$}ms, 'no Host: the address');
    like(get($_, 80, 'many.test')->body, qr{^at $_ }, 'one of a name\'s addresses') for '9.77.2.2', '9.77.2.3';
    like(ask('9.77.2.2', 80, 'GET http://good.test/abs HTTP/1.1', 'Host: x', 'Connection: close')->body, qr{GET /abs\n}, 'absolute form');
    like(ask('9.77.2.2', 80, 'POST /body HTTP/1.1', 'Host: good.test', 'Content-Length: 0', 'Connection: close')->body, qr{POST /body\n}, 'a body');
    my $c = dial('9.77.2.2', 80);
    for my $n (1 .. 3) { is($c->get("/$n", headers => [Host => $n == 2 ? 'also.test' : 'good.test'])->status, 200, "request $n of one connection") }
    is($c->get('/', headers => [Host => 'other.test'])->status, 403, 'each is looked at');
    $c = dial('9.77.2.2', 80);
    for (split //, "\r\nGET /slow HTTP/1.1\r\nHost: good.test\r\nConnection: close\r\n\r\n") { $c->send($_); select undef, undef, undef, 0.002 }
    like($c->response->body, qr{GET /slow\n}, 'byte by byte');
    $c = dial('9.77.2.2', 80);
    $c->send("BREW /pot HTTP/1.1\r\nHost: good.test\r\nConnection: close\r\n\r\n");
    like($c->response->body, qr{BREW /pot\n}, 'a method that nobody knows');
    $seen += 15;
    $w->wait_access($seen);
}

# ---- HTTP refused
for (
    ['a name that leads elsewhere', '9.77.2.2', 80, 'other.test', '/', 'original'], ['a name that there is not', '9.77.2.2', 80, 'nowhere.test', '/', 'original'],
    ['another address for a name', '9.77.2.2', 80, '9.77.2.3', '/', 'default'], ['an address that is not the one', '9.77.2.3', 80, '9.77.2.2', '/', 'original'],
    ['an address of IPv6 that is not', '9.77.2.2', 80, '[2a01:77::2]', '/', 'original'],
    ['a list', '9.77.2.2', 80, 'www.ads.test', '/', 'ads'], ['a path', '9.77.2.2', 80, 'good.test', '/secret', 'path'], ['a name that no rule allows', '9.77.2.2', 80, 'localhost', '/', 'default'],
    ['a rule about the address, by whatever name', '9.77.2.3', 8080, 'other.test', '/', 'server'], ['of IPv6', '2a01:77::2', 8080, 'good.test', '/', 'six'],
    ['Host with another port', '9.77.2.2', 80, 'good.test:8080', '/', 'original'], ['an address written oddly', '9.77.2.2', 80, '0x9.77.2.2', '/', 'host'],
    ['as one number', '9.77.2.2', 80, '156041730', '/', 'host'], ['IPv4 in IPv6', '9.77.2.2', 80, '[::ffff:9.77.2.2]', '/', 'default'],
) {
    my ($what, $to, $port, $host, $uri, $rule) = @$_;
    my $r = get($to, $port, $host, $uri);
    is($r->status, 403, $what);
    is(rule(), "403 $rule", 'its rule');
}
is(ask('9.77.2.2', 80, 'CONNECT good.test:80 HTTP/1.1', 'Host: good.test:80')->status, 403, 'CONNECT');
is(rule(), '403 original', 'its rule');
is(ask('9.77.2.2', 80, 'GET https://good.test/ HTTP/1.1', 'Host: good.test')->status, 403, 'https in absolute form');
is(rule(), '403 scheme', 'its rule');
is(ask('9.77.2.2', 80, 'GET http://other.test/ HTTP/1.1', 'Host: good.test')->status, 403, 'the target counts, not Host');
is(rule(), '403 original', 'its rule');
is(get('9.77.2.2', 80, 'a b')->status, 400, 'a Host that is none');
is(ask('9.77.2.2', 80, 'GET / HTTP/1.1', 'Host: good.test', 'Host: good.test')->status, 400, 'two of them');
is(ask('9.77.2.2', 80, 'GET / HTTP/1.1', 'Host: good.test', 'Content-Length: 5', 'Transfer-Encoding: chunked')->status, 400, 'length and chunks');
$w->wait_access($seen += 3);
{
    my $via = get('9.77.2.2', 80, 'good.test')->body =~ /^Via: 1\.1 (\S+)\r$/m ? $1 : 'none';
    is(get('9.77.2.2', 80, 'good.test', '/', "Via: 1.1 $via")->status, 403, 'a request that was here before');
    logged();
    is(rule(), '403 loop', 'its rule');
}

# ---- TLS
{
    my $c = secure('9.77.2.2', 443, 'good.test');
    like($c->get('/tls', headers => [Host => 'good.test', Connection => 'close'])->body, qr{^at 9\.77\.2\.2 from 192\.168\.77\.2\nGET /tls\n}, 'TLS: the origin sees the client\'s own address');
    is($c->sock->peer_certificate('commonName') // '', 'good', 'it is the origin\'s own certificate');
    $c->close;
    like(logged(), qr{^192\.168\.77\.2\|9\.77\.2\.2:443\|tls\|good\.test\|good\.test\|CONNECT good\.test:443 transparent\|transparent\|200\|names\|9\.77\.2\.2:443\|[1-9]\d+\|[1-9]\d+\|$}, 'its line in the log');
    $c = secure('2a01:77::2', 443, 'GOOD.test');
    like($c->get('/', headers => [Connection => 'close'])->body, qr{^at 2a01:77::2 from fd77:1::2\n}, 'IPv6, capitals');
    $c->close;
    like(logged(), qr{\|tls\|good\.test\|good\.test\|CONNECT GOOD\.test:443|\|tls\|good\.test\|good\.test\|CONNECT good\.test:443}, 'its line');
    $c = secure('9.77.2.2', 443);
    like($c->get('/', headers => [Connection => 'close'])->body, qr{^at 9\.77\.2\.2 }, 'without a name: by the address');
    $c->close;
    like(logged(), qr{\|tls\|9\.77\.2\.2\|-\|CONNECT 9\.77\.2\.2:443 transparent\|transparent\|200\|two\|}, 'its line');
}
for (
    ['a name that leads elsewhere', '9.77.2.2', 443, 'other.test', '403 original'], ['one that there is not', '9.77.2.2', 443, 'nowhere.test', '403 original'],
    ['a list', '9.77.2.2', 443, 'www.ads.test', '403 ads'], ['a name that no rule allows', '9.77.2.2', 443, 'localhost', '403 default'], ['no name, and no rule for the address', '9.77.2.3', 443, '', '403 default'],
) {
    my ($what, $to, $port, $name, $answer) = @$_;
    is(secure($to, $port, $name), undef, "TLS: $what");
    like($@, qr/alert access denied/i, 'the client is told');
    is(rule(), $answer, 'its rule');
}

# ---- client hellos by hand
sub extension { my ($type, $body) = @_; return pack('nn', $type, length $body) . $body }
sub sni { my $name = shift; return extension(0, pack('nCn', 3 + length $name, 0, length $name) . $name) }
sub message { my $e = join '', @_; my $b = "\3\3" . 'r' x 32 . "\0" . pack('nnC2', 2, 0x1301, 1, 0) . pack('n', length $e) . $e; return "\1" . substr(pack('N', length $b), 1) . $b }
sub records { my ($m, $size) = @_; return join '', map { "\x16\3\1" . pack('n', length $_) . $_ } unpack "(a$size)*", $m }
sub hello { my ($bytes, %o) = @_; my $c = dial('9.77.2.2', $o{port} // 443); $c->send($bytes); return $c }
my $good = message(sni('good.test'));
my ($denied, $origin_says) = ("\x15\3\1\0\2\2\x31", qr/^\x15\x03[\x01\x03]\x00\x02\x02/);
{
    for my $size (1, 5, 50) {
        my $c = hello(records($good, $size));
        like($c->bytes(7), $origin_says, "a hello in records of $size bytes goes on to the origin");      # which has an alert of its own for it
        $c->close;
        like(logged(), qr{\|tls\|good\.test\|good\.test\|.*\|200\|names\|}, 'its name was found');
    }
    my $c = hello('');
    for (split //, records($good, 40)) { $c->send($_); select undef, undef, undef, 0.001 }
    like($c->bytes(7), $origin_says, 'byte by byte');
    $c->close;
    like(logged(), qr{\|tls\|good\.test\|}, 'its name');
    my $ech = message(sni('good.test'), extension(0xfe0d, 'x' x 300));
    $c = hello(records($ech, 500));
    like($c->bytes(7), $origin_says, 'ECH: the outer name counts');
    $c->close;
    like(logged(), qr{\|tls\|good\.test\|}, 'its name');
    $c = hello(records(message(sni('good.test'), extension(0xaaaa, 'x' x 9000)), 1000));
    like($c->bytes(7), $origin_says, 'a hello of 9 kB');
    $c->close;
    like(logged(), qr{\|tls\|good\.test\|}, 'its name');
}
for (
    ['two names in two extensions', message(sni('good.test'), sni('www.ads.test'))], ['two names in one', message(extension(0, pack('n', 22) . pack('Cn', 0, 9) . 'good.test' . pack('Cn', 0, 7) . 'ad.test'))],
    ['an empty name', message(sni(''))], ['a name with a NUL', message(sni("good.test\0x"))], ['a length that is not true', do { my $m = $good; substr($m, 3, 1) = "\x20"; $m }],
    ['a name longer than 255', message(sni('a' x 256))], ['a hello of more than 16 kB', message(sni('good.test'), extension(0xaaaa, 'x' x 20000))],
) {
    my ($what, $m) = @$_;
    is(hello(records($m, 16000))->rest, '', "$what: closed");
    is(rule(), '403 protocol', 'its rule');
}
for (['a record that is empty', "\x16\3\1\0\0" . records($good, 50)], ['one that is too long', "\x16\3\1\x50\0"], ['another between', "\x16\3\1\0\1\1\x15\3\1\0\2\2\0"], ['SSL 2', "\x80\x2e\1\0\2"], ['another version', "\x16\2\0\0\5\1\0\0\1\0"]) {
    is(hello($_->[1])->rest, '', "$_->[0]: closed");
    is(rule(), '403 protocol', 'its rule');
}
for (['a name with a space', 'good test', 400], ['an address written oddly', '0x9.77.2.2', 403], ['an address that is not the one', '9.77.2.3', 403], ['a slash', 'good.test/x', 400], ['a port', 'good.test:443', 400], ['two dots', 'good..test', 400], ['a long label', ('a' x 64) . '.test', 403]) {
    is(hello(records(message(sni($_->[1])), 500))->rest, $denied, "$_->[0]: an alert");
    like(rule(), qr/^$_->[2] /, 'its status');
}

# ---- neither, and nothing
for (['SSH', "SSH-2.0-x\r\n"], ['SMTP', "EHLO x\r\n"], ['zeros', "\0\0\0\0"], ['a long word', 'A' x 30], ['SOCKS', "\5\1\0"]) {
    is(hello($_->[1], port => 23)->rest, '', "$_->[0]: closed");
    like(logged(), qr{^192\.168\.77\.2\|9\.77\.2\.2:23\|unknown\|9\.77\.2\.2\|-\|CONNECT 9\.77\.2\.2:23 transparent\|transparent\|403\|protocol\|}, 'its line');
}
for my $part ('', 'GE', "\x16\3", substr(records($good, 500), 0, 30)) {
    my $c = hello($part);
    $c->finish;
    is($c->rest, '', 'the client leaves after ' . length $part);
    $c = hello($part, port => 7500);
    is($c->rest, '', 'it says no more');
}
ok($w->wait_error(qr/client timed out.*while looking at what a client says, client: 192\.168\.77\.2, server: 0\.0\.0\.0:3134/), 'is told in the log');
for my $to ('9.77.2.2', '2a01:77::2') {
    my $c = dial($to, 22);
    like($c->line, qr/^hello (192\.168\.77\.2|fd77:1::2)$/, 'a port where nobody looks: the server speaks first');
    $c->send("one\n");
    is($c->line, "got one\n", 'there and back');
    $c->send("bye\n");
    is($c->rest, "got bye\n", 'to the end');
    $c->close;
    like(logged(), qr{\|\[?\Q$to\E\]?:22\|opaque\|\[?\Q$to\E\]?\|-\|CONNECT \[?\Q$to\E\]?:22 transparent\|transparent\|200\|ssh\|\[?\Q$to\E\]?:22\|8\|\d+\|}, 'its line');
}

# ---- loops
{
    my $c = dial('192.168.77.1', 3129);
    is($c->rest, '', 'who connects to the listener itself');
    ok($w->wait_error(qr/a connection to 192\.168\.77\.1:3129, where weir itself listens, is not let through/), 'is told in the log');
    $c = dial('192.168.77.1', 3130);
    is($c->rest, '', 'to the other one');
    is(dial('fd77:1::1', 3129)->rest, '', 'by IPv6');
    my $r = $w->connect(port => $w->port(0));
    $r->send("GET http://good.test/ HTTP/1.1\r\nHost: good.test\r\n\r\n");
    is($r->response->status, 200, 'an ordinary listener beside it');
    logged();
}

# ---- by address; off
like(get('9.77.2.2', 5000, 'other.test')->body, qr{^at 9\.77\.2\.2 .*^Host: other\.test:5000\r$}ms, 'verify_host address: a name that leads elsewhere, to an address that a rule allows');
is(rule(), '200 two', 'by the rule for the address');
is(get('9.77.2.3', 5000, 'good.test')->status, 403, 'to one that none allows');
is(rule(), '403 default', 'its rule');
is(get('9.77.2.3', 5000, 'other.test')->status, 200, 'a name that is true');
is(rule(), '200 names', 'by the rule for the name');
is(get('9.77.2.2', 5000, 'www.ads.test')->status, 403, 'a list');
is(rule(), '403 ads', 'its rule');
is(get('9.77.2.2', 5000, 'no.ads.test')->status, 403, 'a name that is no name: the list holds of it all the same');
is(rule(), '403 ads', 'its rule');
is(get('9.77.2.2', 7000, 'other.test')->status, 200, 'verify_host off');
logged();
{
    my $c = dial('9.77.2.2', 6000);
    like($c->line, qr/^hello 9\.77\.2\.1$/, 'opaque ports of a server');
    $c->send("bye\n");
    $c->rest;
    $c->close;
    logged();
    is(dial('9.77.2.3', 6000)->rest, '', 'an address that is refused');
    is(rule(), '403 address', 'its rule');
}

# ---- TPROXY
SKIP: {
    skip 'nftables has no TPROXY here', 1 unless $tproxy;
    like(get('9.77.2.2', 81, 'good.test')->body, qr{^at 9\.77\.2\.2 .*^Host: good\.test:81\r$}ms, 'HTTP by TPROXY');
    like(logged(), qr{^192\.168\.77\.2\|9\.77\.2\.2:81\|http\|good\.test\|-\|.*\|200\|names\|9\.77\.2\.2:81\|}, 'its line');
    like(get('2a01:77::2', 81, 'good.test')->body, qr{^at 2a01:77::2 }, 'IPv6');
    logged();
    is(get('9.77.2.3', 81, 'good.test')->status, 403, 'a name that leads elsewhere');
    is(rule(), '403 original', 'its rule');
    for my $to ('9.77.2.2', '2a01:77::2') {
        my $c = secure($to, 444, 'good.test');
        like($c->get('/', headers => [Connection => 'close'])->body, qr{^at \Q$to\E from (192\.168\.77\.2|fd77:1::2)\n}, "TLS to $to, with the client\'s own address");
        $c->close;
        like(logged(), qr{\|tls\|good\.test\|good\.test\|.*\|200\|names\|}, 'its line');
        $c = dial($to, 82);
        like($c->line, qr/^hello (192\.168\.77\.2|fd77:1::2)$/, 'a port where nobody looks');
        $c->send("bye\n");
        $c->rest;
        $c->close;
        logged();
    }
    is(dial('192.168.77.1', 3130)->rest, '', 'to itself');
    my $c = dial('9.77.2.9', 444);
    $c->send(records($good, 500));
    is($c->rest, $denied, 'where there is nobody of that name');
    logged();
}

# ---- it stays so after a reload; configuration
$w->reload;
is(get('9.77.2.2', 80, 'good.test')->status, 200, 'after a reload');
for (['ssl', 'ssl'], ['socks', 'socks'], ['proxy_protocol', 'proxy_protocol']) {
    my $bad = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%% transparent $_->[0]; } }\n");
    my (undef, $out) = $bad->t_binary('-t');
    like($out, qr/"transparent" and "$_->[1]" cannot be used together for 127\.0\.0\.1:\d+/, "transparent and $_->[0]");
}
my (undef, $out) = Weir->new(conf => "events { }\nhttp { server { listen unix:%%TESTDIR%%/s transparent; } }\n")->t_binary('-t');
like($out, qr/"transparent" is for addresses of IP, which unix:\S+ is not/, 'a unix socket');
done_testing;
