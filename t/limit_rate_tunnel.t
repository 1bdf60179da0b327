# limit_rate_by over tunnels: CONNECT, SOCKS and WebSocket, both ways, of all that have the same key together.
use lib 't/lib';
use Weir;
use Time::HiRes qw(sleep time);

# "send N": N bytes; "take N": reads N bytes, then says so.
sub talk {
    my $c = shift;
    while (defined(my $line = $c->line)) {
        if ($line =~ /^send (\d+)/) { $c->send('x' x $1) }
        elsif ($line =~ /^take (\d+)/) { my $n = length $c->bytes($1); $c->send("took $n\n") }
        else { last }
    }
    $c->close;
}
my $raw = Weir::Backend->new(\&talk, connection => 1);
my $ws = Weir::Backend->new(sub { my $c = shift; while (defined(my $l = $c->line)) { last if $l =~ /^\r\n/ } $c->send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"); talk($c) }, connection => 1);
my $w = Weir->new(vars => { WS => $ws->addr }, conf => <<'EOC')->start;
worker_processes 2;
events { }
http {
    limit_rate_zone $remote_user zone=user:1m rate=200k burst=50k;
    limit_rate_zone $server_name zone=all:1m rate=50m burst=1k;
    limit_rate_zone $arg_k zone=k:1m rate=200k burst=50k;
    limit_rate_zone $server_name zone=slow:1m rate=500 burst=1k;
    access_log %%TESTDIR%%/access.log combined;
    forward_proxy_ports all;
    forward_proxy_address allow loopback;
    forward_proxy_access allow all;
    server { listen 127.0.0.1:%%PORT_0%%; forward_proxy on; auth_basic a; auth_basic_user_file %%TESTDIR%%/users; limit_rate_by zone=user; }
    server { listen 127.0.0.1:%%PORT_1%% socks; forward_proxy on; auth_basic a; auth_basic_user_file %%TESTDIR%%/users; limit_rate_by zone=user; }
    server { listen 127.0.0.1:%%PORT_2%%; location / { proxy_pass http://%%WS%%; proxy_http_version 1.1; proxy_set_header Connection upgrade; proxy_set_header Upgrade x; limit_rate_by zone=k; } }
    server { listen 127.0.0.1:%%PORT_3%%; server_name big; forward_proxy on; limit_rate_by zone=all; }
    server { listen 127.0.0.1:%%PORT_4%%; server_name slow; forward_proxy on; limit_rate_by zone=slow; tunnel_read_timeout 1500ms; }
}
EOC
$w->write_file('users', join '', map { "$_:{PLAIN}pw\n" } 'a' .. 'h');
# As in limit_rate_by.t: never less than its time; no more at one of several tries, each after a pause in which the key is forgiven.
sub between {
    my ($try, $least, $most, $name) = @_;
    my @took;
    for (1 .. 6) {
        push @took, $try->();
        last if $took[-1] < $least || $took[-1] <= $most + 0.4;
        sleep 1;
    }
    ok($took[-1] >= $least && $took[-1] <= $most + 0.4, sprintf '%s: %s s, %.2f to %.2f', $name, join(' ', map { sprintf '%.2f', $_ } @took), $least, $most);
}
use MIME::Base64 qw(encode_base64);
sub connect_as {
    my ($user, $port) = @_;
    my $c = $w->connect(port => $port // 0);
    $c->send('CONNECT ' . $raw->addr . " HTTP/1.1\r\nHost: " . $raw->addr . "\r\nProxy-Authorization: Basic " . encode_base64("$user:pw", '') . "\r\n\r\n");
    is($c->response(method => 'CONNECT')->status, 200, "CONNECT as $user");
    return $c;
}
sub socks_as {
    my $user = shift;
    my $c = $w->connect(port => 1);
    $c->send("\5\1\2");
    is(unpack('H*', $c->bytes(2)), '0502', 'SOCKS');
    $c->send("\1" . pack('C/a C/a', $user, 'pw'));
    is(unpack('H*', $c->bytes(2)), '0100', "as $user");
    $c->send("\5\1\0\1\x7f\0\0\1" . pack 'n', $raw->port);
    is(substr(unpack('H*', $c->bytes(10)), 0, 4), '0500', 'goes through');
    return $c;
}
sub upgrade { my $k = shift; my $c = $w->connect(port => 2); $c->send("GET /?k=$k HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"); 1 while $c->line !~ /^\r\n/; return $c }
# So many bytes down (and up) through each of these at once; how long until all are there.
sub pull { my ($n, @c) = @_; my $from = time; $_->send("send $n\n") for @c; is(length $_->bytes($n), $n, 'all are there') for @c; return time - $from }
sub push_up { my ($n, @c) = @_; my $from = time; $_->send("take $n\n" . 'y' x $n) for @c; is($_->line, "took $n\n", 'all are there') for @c; return time - $from }

between(sub { pull(200000, connect_as('a')) }, 0.72, 1.2, 'down at 200k a second, 50k at once');
between(sub { push_up(200000, connect_as('b')) }, 0.72, 1.2, 'up');
sub both_ways {
    my $c = connect_as('c');
    my $from = time;
    $c->send("send 100000\ntake 100000\n" . 'y' x 100000);
    is(length $c->bytes(100000), 100000, 'down');
    is($c->line, "took 100000\n", 'and up');
    return time - $from;
}
between(\&both_ways, 0.72, 1.2, 'both ways together');
between(sub { pull(100000, connect_as('d'), socks_as('d')) }, 0.72, 1.4, 'tunnels of one user share, by CONNECT and SOCKS');
between(sub { pull(100000, map { socks_as($_) } 'e' .. 'h') }, 0.22, 1.0, 'four users do not');
between(sub { pull(200000, upgrade('x')) }, 0.72, 1.2, 'WebSocket');
between(sub { pull(100000, upgrade('y'), upgrade('y')) }, 0.72, 1.4, 'two of one key');
between(sub { pull(100000, upgrade('')) }, 0, 0.5, 'without a key there is no limit');
between(sub { pull(10_000_000, connect_as('a', 3)) }, 0.18, 5, 'as fast as splice goes');

# What stands still since it may not go on is not idle; what is idle is.
my $c = connect_as('a', 4);
between(sub { pull(3000, $c) }, 3.8, 30, 'a pace slower than the idle time');
ok(wait_for(sub { $w->error_log =~ /the tunnel timed out/ }), 'idle tunnels end');
is($c->rest, '', 'as they do');
done_testing;
