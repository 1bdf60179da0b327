# Tunnels that stand idle: what they take, and that their log lines still know everything.
use lib 't/lib';
use Weir;

my $b = Weir::Backend->new(sub { my ($c) = @_; while (defined(my $l = $c->line)) { $c->send("got $l") } $c->close }, connection => 1);
my $w = Weir->new(files => { users => "alice:\$apr1\$lZL6V/ci\$eIMz/iKDkbtys/uU7LEK00\n" }, conf => <<'EOC')->start;      # "password"
worker_processes 1;
worker_shutdown_timeout 1s;
events { worker_connections 4000; }
http {
    log_format long '$remote_addr|$remote_user|$http_user_agent|$host|$mine|$mapped|$upstream_addr|$upstream_bytes_received|$forward_proxy_rule|$request_length|$bytes_sent|$status|$request';
    access_log %%TESTDIR%%/access.log long;
    map $http_x_kind $mapped { default other; special found; }
    forward_proxy_ports all;
    forward_proxy_address allow loopback;
    forward_proxy_access allow name=everybody all;
    tunnel_read_timeout 60s;
    server { listen 127.0.0.1:%%PORT_0%%; forward_proxy on; set $mine "set-$http_x_kind"; auth_basic p; auth_basic_user_file %%TESTDIR%%/users; }
    limit_conn_zone $binary_remote_addr zone=z:1m;
    server { listen 127.0.0.1:%%PORT_1%%; forward_proxy on; limit_conn z 2; }
    server { listen 127.0.0.1:%%PORT_2%%; listen 127.0.0.1:%%PORT_3%% socks; forward_proxy on; }
}
EOC
sub tunnel { my ($n, $to, @fields) = @_; my $c = $w->connect(port => $w->port($n)); $c->send(join "\r\n", "CONNECT $to HTTP/1.1", "Host: $to", @fields, '', ''); my $r = $c->response(method => 'CONNECT'); return ($c, $r ? $r->status : 0) }
my $user = 'Proxy-Authorization: Basic YWxpY2U6cGFzc3dvcmQ=';

{
    my ($c, $status) = tunnel(0, 'localhost:' . $b->port, $user, 'User-Agent: one/1', 'X-Kind: special');
    is($status, 200, 'a tunnel');
    for my $word (qw(a bc def)) { $c->send("$word\n"); is($c->line, "got $word\n", "bytes: $word") }
    $c->close;
    my $to = $b->port;
    ok(wait_for(sub { $w->access_log =~ /^127\.0\.0\.1\|alice\|one\/1\|localhost\|set-special\|found\|127\.0\.0\.1:$to\|21\|everybody\|\d{3}\|\d{2,3}\|200\|CONNECT localhost:$to HTTP\/1\.1$/m }), 'the line tells of the request, of variables and of the tunnel') or diag($w->access_log);
}
{
    my @held = map { [tunnel(1, $b->addr)] } 1 .. 3;
    is(join(' ', map { $_->[1] } @held), '200 200 503', 'limit_conn counts tunnels as long as they last');
    $_->[0]->close for @held;
    ok(wait_for(sub { my ($c, $s) = tunnel(1, $b->addr); $s == 200 }), 'and no longer');
}
sub by_socks { my ($to) = @_; my $c = $w->connect(port => $w->port(3)); $c->send("\5\1\0\5\1\0\1\x7f\0\0\1" . pack 'n', $to =~ /(\d+)$/); return ($c, $c->bytes(12) eq "\5\0\5\0\0\1" . "\0" x 6 ? 200 : 0) }
SKIP: {
    skip 'memory is not what it is with sanitizers', 2 if $w->{binary} =~ m{/san/};
    my ($pid) = $w->workers;
    my $bytes = sub { my $all = Weir::slurp("/proc/$pid/smaps_rollup"); my $n = 0; $n += $1 * 1024 while $all =~ /^Private_(?:Clean|Dirty):\s+(\d+)/mg; $n };
    my $sink = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1000) or die;       # nobody need accept
    my $to = '127.0.0.1:' . $sink->sockport;
    my @first = map { [tunnel(2, $to)] } 1 .. 50;
    my $before = $bytes->();
    my @all = map { [tunnel(2, $to)] } 1 .. 400;
    my $each = 0;
    ok(wait_for(sub { $each = ($bytes->() - $before) / 400; $each <= 2048 }, 5), "an idle tunnel takes " . int($each) . ' bytes');
    my @few = map { [by_socks($to)] } 1 .. 50;
    $before = $bytes->();
    my @many = map { [by_socks($to)] } 1 .. 400;
    ok(wait_for(sub { $each = ($bytes->() - $before) / 400; $each <= 2048 }, 5), "and one by SOCKS " . int($each) . ' bytes') && is(scalar(grep { $_->[1] == 200 } @many), 400, 'all of them');
}
{
    my ($c, $status) = tunnel(2, $b->addr);
    $w->reload;
    $c->send("over\n");
    is($c->line, "got over\n", 'a reload leaves tunnels alone until worker_shutdown_timeout');
    ok($c->closed(10), 'which cuts them off');
    ok(wait_for(sub { $w->access_log =~ /^127\.0\.0\.1\|-\|-\|127\.0\.0\.1\|.*\|everybody\|/m }), 'with their lines');
}
done_testing;
