# conf/examples/forward_proxy_parents.conf does what it says.
use lib 't/lib';
use Weir;

my $b = Weir::Backend->new(sub { my $req = shift; return $req->head });
# The company's proxies, and Tor: each plays all targets itself.
sub company { my $name = shift; return Weir::Backend->new(sub { my $req = shift; return [200, [], join '|', $name, $req->method, $req->uri, $req->header('Proxy-Authorization') // 'nobody'] }) }
my ($one, $two) = map { company($_) } 'one', 'two';
my $tor = Weir::Backend->new(sub {
    my ($c) = @_;
    my (undef, $count) = unpack 'CC', $c->bytes(2);
    my $login = '';
    if ($c->bytes($count) =~ /\x02/) {
        $c->send("\5\2");
        $c->bytes(1);
        $login = $c->bytes(unpack 'C', $c->bytes(1));
        $c->bytes(unpack 'C', $c->bytes(1));
        $c->send("\1\0");
    } else { $c->send("\5\0") }
    my (undef, undef, undef, $kind) = unpack 'C4', $c->bytes(4);
    my $host = $kind == 3 ? $c->bytes(unpack 'C', $c->bytes(1)) : 'an address';
    $c->bytes(2);
    $c->send("\5\0\0\1\0\0\0\0\0\0");
    while (my $req = Weir::Message->read($c, 'request')) { my $body = "tor|$login|$host|" . join '|', map { s/\r//r } split /\n/, $req->head; $c->send("HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\n\r\n$body") }
}, connection => 1);
my $conf = Weir::slurp("$Weir::top/conf/examples/forward_proxy_parents.conf");
$conf =~ s/10\.0\.0\.8:3128/$one->addr/e or die;
$conf =~ s/10\.0\.0\.9:3128/$two->addr/e or die;
$conf =~ s/127\.0\.0\.1:9050/$tor->addr/ge or die;
$conf =~ s/127\.0\.0\.1:3128;/127.0.0.1:%%PORT_0%%; forward_proxy_ports @{[$b->port]};/ or die;
$conf =~ s/127\.0\.0\.1:3129;/127.0.0.1:%%PORT_1%%;/ or die;
$conf =~ s/127\.0\.0\.1:1080 socks/127.0.0.1:%%PORT_2%% socks/ or die;
$conf =~ s/host=\.intranet\.example/host=localhost/ or die;
$conf =~ s/forward_proxy_address allow 10\.0\.0\.0\/8/forward_proxy_address allow loopback/ or die;
$conf =~ s/host=deb\.debian\.org,/host=127.0.0.1,/ or die;
$conf =~ s/access_log forward\.log/access_log %%TESTDIR%%\/forward.log/ or die;
my $w = Weir->new(conf => $conf, files => { 'company.login' => "weir:secret\n" })->start;
my $port = $b->port;
sub ask { my ($n, $what, @fields) = @_; my $c = $w->connect(port => $w->port($n)); $c->send(join "\r\n", "$what HTTP/1.1", 'Host: x', @fields, '', ''); return $c->response(method => $what =~ /^(\S+)/) }

is(ask(0, 'GET http://www.example.com/a')->body, 'one|GET|http://www.example.com/a|Basic d2VpcjpzZWNyZXQ=', 'the company\'s proxy, with its login');
like(ask(0, "GET http://localhost:$port/in")->body, qr{^GET /in HTTP}, 'in the house: without one');
like(ask(0, 'GET http://hidden.onion/')->body, qr{^tor\|\|hidden\.onion\|GET / HTTP}, 'onion services');
is(ask(0, "GET http://127.0.0.1:$port/deb")->body, "one|GET|http://127.0.0.1:$port/deb|Basic d2VpcjpzZWNyZXQ=", 'updates: by the proxy');
$one->stop;
is(ask(0, 'GET http://www.example.com/b')->body =~ s/\|.*//r, 'two', 'the reserve') for 1 .. 3;
$two->stop;
like(ask(0, "GET http://127.0.0.1:$port/deb")->body, qr{^GET /deb HTTP}, 'updates: past them, when they are gone');
ok($w->wait_error(qr/\[warn\].*the parent "http:\/\/company" failed: the request goes without one/), 'which is told');
is(ask(0, 'GET http://www.example.com/c')->status, 502, 'all else: not');
is(ask(0, 'CONNECT www.example.com:443')->status, 502, 'nor tunnels');

like(ask(1, 'GET http://www.example.com/', 'User-Agent: mine', 'Cookie: a=b', 'Accept-Language: xx')->body, qr{^tor\|127\.0\.0\.1\|www\.example\.com\|GET / HTTP/1\.1\|Host: www\.example\.com\|User-Agent: Mozilla/5\.0\|Accept: \*/\*\|Accept-Encoding: identity\|Accept-Language: en\|?$}, 'all through Tor: a circuit for the client, and nothing of it in the request');
{
    my $c = $w->connect(port => $w->port(2));
    $c->send("\5\1\0\5\1\0\3\x0bexample.com\0\x50");
    is(unpack('H*', $c->bytes(2)) . unpack('H4', $c->bytes(10)), '05000500', 'SOCKS clients as well');
    $c->send("GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: mine\r\n\r\n");
    like($c->response->body, qr{^tor\|127\.0\.0\.1\|example\.com\|GET / HTTP/1\.1\|Host: example\.com\|User-Agent: mine}, 'whose bytes are their own');
}
$tor->stop;
is(ask(1, 'GET http://www.example.com/')->status, 502, 'without Tor: nothing');
is(ask(1, 'CONNECT www.example.com:443')->status, 502, 'no tunnels');
ok(wait_for(sub { my $log = Weir::slurp($w->dir . '/forward.log'); $log =~ m{"GET http://hidden\.onion/ HTTP/1\.1" 200 parent=socks5://127\.0\.0\.1:\d+ } && $log =~ m{/in HTTP/1\.1" 200 parent=direct } && $log =~ m{/deb HTTP/1\.1" 200 parent=direct } }), 'the log');
unlike($w->error_log, qr/secret|d2VpcjpzZWNyZXQ/, 'no secrets');
done_testing;
