# Parents that lead back to this very proxy, by CONNECT and SOCKS, where there is no Via: it ends after a few turns. A chain of proxies in one process does not.
use lib 't/lib';
use Weir;

my $origin = Weir::Backend->new(sub { my $req = shift; return $req->uri });
my $w = Weir->new(vars => { ORIGIN => $origin->port }, conf => <<'EOC')->start;
worker_processes 2;
events { worker_connections 400; }
http {
    log_format f '$server_port|$status|$request';
    access_log %%TESTDIR%%/access.log f;
    forward_proxy on;
    forward_proxy_via off;
    forward_proxy_ports all;
    forward_proxy_address allow loopback;
    forward_proxy_access allow all;
    server { listen 127.0.0.1:%%PORT_0%%; forward_proxy_parent http://127.0.0.1:%%PORT_0%%; }                 # itself
    server { listen 127.0.0.1:%%PORT_1%% socks; forward_proxy_parent socks5://127.0.0.1:%%PORT_1%%; }
    server { listen 127.0.0.1:%%PORT_2%%; forward_proxy_parent http://127.0.0.1:%%PORT_3%%; }                 # one another
    server { listen 127.0.0.1:%%PORT_3%%; forward_proxy_parent http://127.0.0.1:%%PORT_2%%; }
    server { listen 127.0.0.1:%%PORT_4%%; forward_proxy_parent http://127.0.0.1:%%PORT_5%%; }                 # a chain
    server { listen 127.0.0.1:%%PORT_5%%; forward_proxy_parent socks5://127.0.0.1:%%PORT_6%%; }
    server { listen 127.0.0.1:%%PORT_6%% socks; forward_proxy_parent http://127.0.0.1:%%PORT_7%%; }
    server { listen 127.0.0.1:%%PORT_7%%; forward_proxy_parent direct; }
}
EOC
sub lines { my %at = map { $w->port($_) => 1 } @_; return scalar grep { /^(\d+)\|/ && $at{$1} } split /\n/, $w->access_log }
sub tunnel { my $c = $w->connect(port => $w->port($_[0])); $c->send("CONNECT $_[1] HTTP/1.1\r\nHost: x\r\n\r\n"); return ($c, $c->response(method => 'CONNECT')->status) }
is((tunnel(0, 'example.com:443'))[1], 403, 'CONNECT: a parent that is the proxy itself');
ok($w->wait_error(qr/CONNECT to example\.com:443 is refused by rule "loop" \(a parent leads back to this proxy\)/), 'the log says so');
ok(wait_for(sub { lines(0) == 10 }), 'after eight of ours') or diag lines(0);
my $c = $w->connect(port => $w->port(1));
$c->send("\5\1\0\5\1\0\3\x0bexample.com" . pack 'n', 443);
is(unpack('H*', $c->bytes(2)) . unpack('H4', $c->bytes(10)), '05000502', 'SOCKS');
ok(wait_for(sub { lines(1) == 10 }), 'after eight of ours') or diag lines(1);
is((tunnel(2, 'example.com:443'))[1], 403, 'two that are parents of one another');
ok(wait_for(sub { lines(2, 3) == 10 }), 'after eight of ours, too') or diag lines(2, 3);
for (1 .. 3) {
    my ($chain, $status) = tunnel(4, $origin->addr);
    is($status, 200, 'a chain');
    $chain->send("GET /there HTTP/1.1\r\nHost: x\r\n\r\n");
    is($chain->response(method => 'GET')->body, '/there', 'leads there');
}
done_testing;
