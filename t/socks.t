# listen … socks: SOCKS5 (RFC 1928, RFC 1929) under the forward proxy's policy, users, limits and logs.
use lib 't/lib';
use Weir;
use IO::Socket::INET;

my $echo = Weir::Backend->new(sub { my $req = shift; return [200, ['Content-Type' => 'text/plain'], $req->head] });
my $raw = Weir::Backend->new(sub { my ($c) = @_; while (defined(my $l = $c->line)) { $c->send("got $l"); last if $l =~ /^bye/ } $c->close }, connection => 1);
my $until_eof = Weir::Backend->new(sub { my ($c) = @_; my $all = $c->rest; $c->send('after your end: ' . length $all); $c->close }, connection => 1);

my $w = Weir->new(vars => { RAWPORT => $raw->port }, files => {
    'ads.txt' => "ads.example\n", users => "alice:{PLAIN}wonder\nbob:{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=\nslow:" . crypt('snail', '$6$saltsalt$') . "\n",
}, conf => <<'EOC')->start;
events { }
http {
    log_format fwd '$remote_user|$status|$forward_proxy_rule|$forward_proxy_port|$forward_proxy_address|$forward_proxy_bytes_up|$forward_proxy_bytes_down|$server_protocol|$request|$host|';
    access_log %%TESTDIR%%/access.log fwd;
    error_log %%TESTDIR%%/error.log info;
    forward_proxy_ports all;
    forward_proxy_address allow loopback;
    limit_conn_zone $binary_remote_addr zone=one:1m;
    server {
        listen 127.0.0.1:%%PORT_0%% socks;
        forward_proxy on;
        forward_proxy_access deny name=ads list=%%TESTDIR%%/ads.txt;
        forward_proxy_access deny name=port port=9;
        forward_proxy_access allow all;
    }
    server {            # guarded: as it is without further words
        listen 127.0.0.1:%%PORT_1%% socks;
        forward_proxy on;
        forward_proxy_address deny loopback;
        forward_proxy_access allow all;
    }
    server {
        listen 127.0.0.1:%%PORT_2%% socks;
        listen 127.0.0.1:%%PORT_3%%;
        forward_proxy on;
        auth_basic "the proxy";
        auth_basic_user_file %%TESTDIR%%/users;
        forward_proxy_access deny name=bobs user=bob port=9;
        forward_proxy_access allow user=alice,bob,slow;
    }
    server { listen 127.0.0.1:%%PORT_4%% socks; location / { return 200 "no tunnel"; } }
    server { listen 127.0.0.1:%%PORT_5%% socks; forward_proxy on; forward_proxy_access allow all; return 200 "no tunnel"; }
    server { listen 127.0.0.1:%%PORT_6%% socks; location / { tunnel_pass 127.0.0.1:%%RAWPORT%%; } }
    server { listen 127.0.0.1:%%PORT_7%% socks; forward_proxy on; forward_proxy_access allow all; limit_conn one 1; }
    server { listen 127.0.0.1:%%PORT_8%% socks; forward_proxy on; forward_proxy_access allow all; client_header_timeout 300ms; }
    server { listen %%PORT_9%%; location / { return 200 "by http"; } }
    server { listen 127.0.0.2:%%PORT_9%% socks; forward_proxy on; forward_proxy_access allow all; }
}
EOC

my $loop = "\x7f\0\0\1";
sub to { my ($port, $host) = @_; return "\5\1\0" . (defined $host ? "\3" . chr(length $host) . $host : "\1$loop") . pack 'n', $port }
sub begin { my ($n, $bytes) = @_; my $c = $w->connect(port => $w->port($n)); $c->send($bytes); return $c }
sub all { return begin(@_)->rest }
sub reply { my ($code) = @_; return "\5" . chr($code) . "\0\1\0\0\0\0\0\0" }
sub login { my ($user, $password) = @_; return "\1" . chr(length $user) . $user . chr(length $password) . $password }
my $hello = "\5\1\0";

# ---- a tunnel
for (['an address', undef], ['a name', 'localhost'], ['a name in capitals', 'LOCALHOST'], ['a name that is an address', '127.0.0.1']) {
    my ($what, $host) = @$_;
    my $c = begin(0, $hello);
    is($c->bytes(2), "\5\0", "$what: the method");
    $c->send(to($raw->port, $host));
    is($c->bytes(10), reply(0), 'the reply');
    $c->send("one\n");
    is($c->line, "got one\n", 'there and back');
    $c->send("bye\n");
    is($c->rest, "got bye\n", 'to the end');
}
my @log = $w->wait_access(4);
is($log[0], "-|200|3|@{[$raw->port]}|127.0.0.1:@{[$raw->port]}|8|16|SOCKS5|CONNECT 127.0.0.1:@{[$raw->port]} SOCKS5|127.0.0.1|", 'the log');
like($log[2], qr/\|CONNECT LOCALHOST:\d+ SOCKS5\|localhost\|/, 'a name in the log');

# ---- in one piece, and byte by byte
is(all(0, $hello . to($raw->port) . "early\nbye\n"), "\5\0" . reply(0) . "got early\ngot bye\n", 'all at once, without waiting for answers');
{
    my $c = begin(0, '');
    for (split //, $hello . to($raw->port, 'localhost') . "bye\n") { $c->send($_); select undef, undef, undef, 0.002 }
    is($c->rest, "\5\0" . reply(0) . "got bye\n", 'byte by byte');
    $c = begin(2, '');
    for (split //, "\5\2\0\2" . login('alice', 'wonder') . to($raw->port) . "bye\n") { $c->send($_); select undef, undef, undef, 0.002 }
    is($c->rest, "\5\2\1\0" . reply(0) . "got bye\n", 'with a user');
}
{
    my $c = begin(0, $hello . to($until_eof->port) . 'x' x 5000);
    is($c->bytes(12), "\5\0" . reply(0), 'bytes behind the request, many');
    $c->finish;
    is($c->rest, 'after your end: 5000', 'half-close');
}

# ---- policy
is(all(0, $hello . to(80, 'x.ads.example')), "\5\0" . reply(2), 'a list');
is(all(0, $hello . to(9)), "\5\0" . reply(2), 'a port');
ok(wait_for(sub { $w->access_log =~ /^-\|403\|port\|9\|/m }), 'its rule in the log');
is(all(1, $hello . to(80)), "\5\0" . reply(2), 'loopback, unless allowed');
is(all(1, $hello . to(80, 'localhost')), "\5\0" . reply(2), 'by its name, too');
is(all(1, $hello . "\5\1\0\4" . "\0" x 10 . "\xff\xff\x7f\0\0\1" . pack 'n', 80), "\5\0" . reply(2), 'IPv4 in IPv6');
is(all(1, $hello . "\5\1\0\4" . "\0" x 15 . "\1" . pack 'n', 80), "\5\0" . reply(2), '::1');
is(all(1, $hello . to(22)), "\5\0" . reply(2), 'ports that nobody opened');
is(all(1, $hello . to(80, $_)), "\5\0" . reply(2), "an address written oddly: $_") for '2130706433', '0x7f.1', '0177.0.0.1', '127.1';
is(all(0, $hello . to(1)), "\5\0" . reply(4), 'nobody there');
is(all(0, $hello . to(80, 'nowhere.invalid')), "\5\0" . reply(4), 'no such name');
is(all(0, $hello . to($w->port(0))), "\5\0" . reply(2), 'to itself');
is(all(4, $hello . to($raw->port)), "\5\0" . reply(2), 'a server that is no forward proxy');
is(all(4, "\5\1\2" . login('a', 'b')), "\5\2\1\1", 'the same with a user');
is(all(5, $hello . to($raw->port)), "\5\0" . reply(1), 'an answer that is no tunnel');
is(all(6, $hello . to(1, 'anywhere.invalid') . "bye\n"), "\5\0" . reply(0) . "got bye\n", 'tunnel_pass');
{
    my $c = begin(7, $hello . to($raw->port));
    is($c->bytes(12), "\5\0" . reply(0), 'one connection');
    is(all(7, $hello . to($raw->port)), "\5\0" . reply(1), 'limit_conn: not two');
    $c->send("bye\n");
    $c->rest;
}

# ---- users
is(all(2, $hello . to($raw->port)), "\5\0" . reply(2), 'without a user');
is(all(2, "\5\1\2" . login('alice', 'wonder') . to($raw->port) . "bye\n"), "\5\2\1\0" . reply(0) . "got bye\n", 'a user');
is(all(2, "\5\2\0\2" . login('bob', '123456') . to($raw->port) . "bye\n"), "\5\2\1\0" . reply(0) . "got bye\n", 'another kind of hash; of two methods the one with a user');
is(all(2, "\5\1\2" . login('bob', '123456') . to(9)), "\5\2\1\0" . reply(2), 'a rule about a user');
ok(wait_for(sub { $w->access_log =~ /^bob\|403\|bobs\|9\|/m }), 'in the log');
is(all(2, "\5\1\2" . login('alice', $_)), "\5\2\1\1", "a wrong password: $_") for 'wrong', '', 'wonder2', "wonder\0";
is(all(2, "\5\1\2" . login($_, 'wonder')), "\5\2\1\1", 'a wrong user') for 'nobody', '', "alice\n", 'x' x 255;
is(all(2, "\5\1\2" . login('alice:wonder', 'x')), "\5\2\1\1", 'a user with a colon');
is(all(2, "\5\1\2" . login('alice', 'wrong') . to($raw->port) . "bye\n"), "\5\2\1\1", 'what comes behind a wrong password goes nowhere');
is(all(2, "\5\1\2" . login('slow', 'snail') . to($raw->port) . "bye\n"), "\5\2\1\0" . reply(0) . "got bye\n", 'a hash that takes long');
is(all(2, "\5\1\2" . login('slow', 'wrong') . to($raw->port)), "\5\2\1\1", 'a hash that takes long');
{
    my $c = begin(2, "\5\1\2" . login('alice', 'wonder'));
    is($c->bytes(4), "\5\2\1\0", 'a user');
    $c->send("\5\2\0\1${loop}\0\x50");
    is($c->rest, reply(7), 'and then a wrong request');
    $c = begin(2, "\5\1\2" . login('alice', 'wonder'));
    is($c->bytes(4), "\5\2\1\0", 'a user');
    $c->close;
    ok(wait_for(sub { $w->access_log =~ /^alice\|400\|[^\n]*CONNECT SOCKS5/m }), 'who leaves then is logged');
}

# ---- hostile
is(all(0, "GET http://127.0.0.1/ HTTP/1.1\r\n\r\n"), '', 'HTTP');
is(all(0, "\4\1\0\x50$loop\0"), '', 'SOCKS4');
is(all(0, "\5\1\1"), "\5\xff", 'GSSAPI alone');
is(all(0, "\5\0"), '', 'no methods');
is(all(0, "\5\xff" . "\3" x 255), "\5\xff", '255 methods, none of ours');
is(all(0, $hello . "\5\2\0\1$loop\0\x50"), "\5\0" . reply(7), 'BIND');
is(all(0, $hello . "\5\3\0\1$loop\0\x50"), "\5\0" . reply(7), 'UDP');
is(all(0, $hello . "\5\1\0\2$loop\0\x50"), "\5\0" . reply(8), 'an unknown kind of address');
is(all(0, $hello . to(0)), "\5\0" . reply(1), 'port 0');
is(all(0, $hello . to(80, $_)), "\5\0" . reply(1), 'a name that is none') for '', 'a b', "a\0b", "a\r\nb", 'a@b', 'a:80', '[::1]', 'a/b', "\xc3\xa4", '..', '.', 'a..b';
is(all(0, $hello . to(80, 'a' x 255)), "\5\0" . reply(2), 'a long name');
is(all(2, "\5\1\2\2\1a\1b"), "\5\2", 'a login of another version');
for my $part (map { substr $hello . to(80, 'localhost'), 0, $_ } 0, 1, 2, 3, 4, 7, 8, 12) {
    my $c = begin(0, $part);
    $c->finish;
    is($c->rest, length $part < 3 ? '' : "\5\0", 'the client leaves after ' . length $part);
}
is(all(8, substr $hello . to(80), 0, $_), $_ < 3 ? '' : "\5\0", "a client that says no more after $_ bytes") for 0, 2, 3, 6;
ok($w->wait_error(qr/client timed out.*while reading SOCKS handshake, client: 127\.0\.0\.1, server: /), 'is told in the log');

# ---- two kinds of listeners on one socket
is($w->get('/', port => $w->port(9))->body, 'by http', 'the wildcard');
SKIP: {
    my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.2', PeerPort => $w->port(9)) or skip 'no 127.0.0.2', 1;
    syswrite $c, $hello . to($raw->port) . "bye\n";
    my $got = '';
    1 while sysread $c, $got, 1000, length $got;
    is($got, "\5\0" . reply(0) . "got bye\n", 'and the address that is SOCKS');
}

# ---- IPv6
SKIP: {
    skip 'no IPv6', 2 unless Weir::slurp("/proc/net/if_inet6") =~ /^0{31}1 /m;
    my $six = Weir->new(conf => "events { }\nhttp { server { listen [::1]:%%PORT_0%%; location / { return 200 six; } } }\n")->start;
    like(all(0, $hello . "\5\1\0\4" . "\0" x 15 . "\1" . pack('n', $six->port(0)) . "GET / HTTP/1.0\r\n\r\n"), qr{^\x05\x00\x05\x00.{8}HTTP/1\.1 200 .*\r\n\r\nsix$}s, 'an IPv6 address');
    ok(wait_for(sub { $w->access_log =~ /\|CONNECT \[::1\]:\d+ SOCKS5\|\[::1\]\|/ }), 'in the log');
}

# ---- curl
SKIP: {
    skip 'no curl', 7 unless `curl --version 2>/dev/null` =~ /^curl/;
    my ($open, $users) = map { '127.0.0.1:' . $w->port($_) } 0, 2;
    my $site = 'http://localhost:' . $echo->port . '/page';
    like(`curl -s --socks5-hostname $open $site`, qr{^GET /page }, '--socks5-hostname');
    like(`curl -s --socks5 $open $site`, qr{^GET /page }, '--socks5: the client looks the name up');
    like(`curl -s --socks5-hostname $users --proxy-user alice:wonder $site`, qr{^GET /page }, '--proxy-user');
    like(`curl -sS --socks5-hostname $users --proxy-user alice:wrong $site 2>&1`, qr/rejected|denied|failed/i, 'a wrong password');
    is($? >> 8, 97, 'curl says why');
    `curl -s --socks5-hostname $users $site`;
    is($? >> 8, 97, 'no user');
    like(`curl -s --socks5-hostname $open $site $site`, qr{GET /page .*GET /page }s, 'two requests through one tunnel');
}

# ---- reload, configuration
$w->reload;
is(all(0, $hello . to($raw->port) . "bye\n"), "\5\0" . reply(0) . "got bye\n", 'after a reload');
for (['ssl', 'ssl'], ['proxy_protocol', 'proxy_protocol']) {
    my $bad = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%% socks $_->[0]; } }\n");
    my (undef, $out) = $bad->t_binary('-t');
    like($out, qr/"socks" and "$_->[1]" cannot be used together for 127\.0\.0\.1:\d+/, "socks and $_->[0]");
}
done_testing;
