# conf/examples/transparent_proxy.conf does what it says, with its own rules for nftables: REDIRECT, then TPROXY.
use lib 't/lib';
use Weir::Netns;
use Weir;
use Weir::Pem;

$SIG{PIPE} = 'IGNORE';
Weir::Netns::net('lan', '192.168.77', 'fd77:1:');
Weir::Netns::net('wan', '9.77.2', '2a01:77:');
Weir::Netns::within('wan', sub { Weir::Netns::run('ip', 'addr', 'add', '203.0.113.7/32', 'dev', 'lo') });
Weir::Netns::run(qw(ip route add 203.0.113.7 via 9.77.2.2));
Weir::Netns::run(qw(ip -6 route add default via 2a01:77::2));
my $dns = Weir::Netns::dns('good.test A 60 9.77.2.2', 'good.test AAAA 60 2a01:77::2', 'ads.test A 60 9.77.2.2', 'far.test A 60 203.0.113.7', 'inner.test A 60 192.168.77.1');
my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('good', by => 'ca', names => ['good.test']);
for my $a ('9.77.2.2', '203.0.113.7', '2a01:77::2') {
    my $page = sub { my ($req, $c) = @_; return 'from ' . $c->sock->peerhost . "\n" . $req->head };
    Weir::Netns::within('wan', sub {
        Weir::Backend->new($page, address => $a, port => 80);
        Weir::Backend->new($page, address => $a, port => 443, ssl => { SSL_cert_file => $pem->file('good.pem'), SSL_key_file => $pem->file('good.key') }, quiet => 1);
        Weir::Backend->new(sub { $_[0]->send('SSH-2.0-test from ' . $_[0]->sock->peerhost . "\n"); $_[0]->close }, address => $a, port => 22, connection => 1);
    });
}

my $text = Weir::slurp("$Weir::top/conf/examples/transparent_proxy.conf");
sub rules { my $kind = shift; return join '', map { "$_\n" } $text =~ /^#$kind (.*)$/mg }
sub conf { my $t = $text; $t =~ s/access_log transparent\.log/access_log %%TESTDIR%%\/transparent.log/ or die; $t =~ s/^(\s*)#(tunnel_bind|forward_proxy_bind)/$1$2/mg if shift; return $t }
sub dial { my ($to, $port, %o) = @_; return Weir::Netns::within('lan', sub { Weir::Conn->new(addr => $to, port => $port, %o) }) }
sub get { my ($to, $host) = @_; my $c = dial($to, 80); $c->send("GET / HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n\r\n"); return $c->response }
sub secure { my ($to, $name) = @_; return eval { dial($to, 443, ssl => { SSL_hostname => $name })->get('/', headers => [Connection => 'close'])->body } // 'refused' }

sub look {
    my ($w, $client, $client6) = @_;
    my $log = sub { my $want = shift; return wait_for(sub { Weir::slurp($w->dir . '/transparent.log') =~ $want }) };
    my $r = get('9.77.2.2', 'good.test');
    like($r->body, qr/^from \Q$client\E\n/, 'HTTP');
    unlike($r->body, qr/^(Via|X-Forwarded-For|Forwarded):/m, 'nothing is added');
    ok($log->(qr{ 192\.168\.77\.2 9\.77\.2\.2:80 http host=good\.test sni=- "GET / HTTP/1\.1" 200 rule=5 }), 'in the log');
    like(get('2a01:77::2', 'good.test')->body, qr/^from \Q$client6\E\n/, 'IPv6');
    like(secure('9.77.2.2', 'good.test'), qr/^from \Q$client\E\n/, 'TLS');
    ok($log->(qr{ 192\.168\.77\.2 9\.77\.2\.2:443 tls host=good\.test sni=good\.test "CONNECT good\.test:443 transparent" 200 rule=5 up=[1-9]\d* down=[1-9]\d* }), 'in the log');
    like(secure('2a01:77::2', 'good.test'), qr/^from \Q$client6\E\n/, 'TLS, IPv6');
    is(get('9.77.2.2', 'far.test')->status, 403, 'a name that does not lead there');
    is(secure('9.77.2.2', 'far.test'), 'refused', 'TLS');
    is(get('9.77.2.2', 'www.ads.test')->status, 403, 'the list');
    is(secure('9.77.2.2', 'ads.test'), 'refused', 'TLS');
    is(get('203.0.113.7', 'far.test')->status, 403, 'the server that is denied by its address, by its name');
    is(secure('203.0.113.7', 'far.test'), 'refused', 'TLS');
    ok($log->(qr{ 203\.0\.113\.7:443 tls host=far\.test .* 403 rule=server }), 'in the log');
    like(dial('9.77.2.2', 22)->rest, qr/^SSH-2\.0-test from \Q$client\E\n$/, 'port 22');
    is(dial('192.168.77.1', 3129)->rest, '', 'the listener itself');
    is(get('192.168.77.1', 'inner.test')->status, 403, 'an address of the router');
}

my $w;
SKIP: {
    Weir::Netns::nft(rules('nft')) or skip 'nftables has no REDIRECT here', 1;
    $w = Weir->new(conf => conf(0), files => { 'blocked.txt' => "ads.test\n" })->start;
    look($w, '9.77.2.1', '2a01:77::1');
    $w->stop;
    Weir::Netns::run(qw(nft delete table inet weir));
}
SKIP: {
    Weir::Netns::nft(rules('tproxy')) or skip 'nftables has no TPROXY here', 1;
    for my $v ('-4', '-6') {
        Weir::Netns::run('ip', $v, 'rule', 'add', 'fwmark', '1', 'lookup', '100');
        Weir::Netns::run('ip', $v, 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', '100');
    }
    $w = Weir->new(conf => conf(1), files => { 'blocked.txt' => "ads.test\n" })->start;
    look($w, '192.168.77.2', 'fd77:1::2');
}
done_testing;
