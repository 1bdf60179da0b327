# The forward proxy asks the servers of "resolver": answers are kept for their time, the last good one while they fail, and every address is guarded.
use lib 't/lib';
use Weir;
use Weir::Dns;

my $b = Weir::Backend->new(sub { my $req = shift; return 'for ' . $req->header('Host') });
my $d = Weir::Dns->new('www.test A 300 127.0.0.1', 'short.test A 0 127.0.0.1', 'two.test A 300 127.0.0.9', 'two.test A 300 127.0.0.1',
    'rebound.test A 300 10.0.0.1', 'rebound.test A 300 169.254.169.254', 'mixed.test A 300 127.0.0.1', 'mixed.test A 300 10.0.0.1', 'silent.test DROP', 'other.test A 300 127.0.0.8');
my $w = Weir->new(conf => <<'EOC', vars => { DNS => $d->addr, PORT => $b->port })->start;
worker_processes 1;
events { }
http {
    resolver %%DNS%% ipv6=off;
    resolver_timeout 1s;
    log_format f '$status|$forward_proxy_rule|$forward_proxy_address|$request';
    access_log %%TESTDIR%%/access.log f;
    forward_proxy on;
    forward_proxy_access allow all;
    forward_proxy_ports all;
    forward_proxy_address allow 127.0.0.0/8;
    server { listen 127.0.0.1:%%PORT_0%%; location /other { resolver 127.0.0.1:%%PORT_9%%; } }
    server { listen 127.0.0.1:%%PORT_1%% socks; }
}
EOC
my $port = $b->port;
sub ask { my ($host, $path) = @_; my $c = $w->connect; $c->send("GET http://$host:$port" . ($path // '/') . " HTTP/1.1\r\nHost: x\r\n\r\n"); return $c->response }
sub asked { my $name = shift; return scalar grep { / \Q$name\E A$/ } $d->asked }

is(ask('www.test')->body, "for www.test:$port", 'a name that only that server knows');
is(ask('WWW.test')->status, 200, 'again');
is(asked('www.test'), 1, 'was asked for once');
is(ask('two.test')->status, 200, "an address where nobody listens is passed over, $_") for 1 .. 4;
is(ask('mixed.test')->status, 200, 'only the address that is allowed is tried');
ok($w->wait_error(qr/no connection to 10\.0\.0\.1:\d+, which is private.*GET http:\/\/mixed\.test/), 'the other is refused');
like(ask('rebound.test')->body, qr/rule "address"/, 'a name that leads inwards');
is(ask('none.test')->status, 502, 'no such name');
is(ask('silent.test')->status, 504, 'a server that says nothing');
is(ask('www.test', '/other')->status, 504, 'another resolver in a location, where nobody is');
{
    my $c = $w->connect(port => $w->port(1));
    $c->send("\5\1\0\5\1\0\3\x08www.test" . pack 'n', $port);
    is(unpack('H*', $c->bytes(2)) . unpack('H4', $c->bytes(10)), '05000500', 'SOCKS clients as well');
}
is(ask('short.test')->status, 200, 'an answer that is not to be kept');
$d->stop;
is(ask('short.test')->status, 200, 'serves while the server is gone');
is(ask('www.test')->status, 200, 'one that is good still');
done_testing;
