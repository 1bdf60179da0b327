# conf/examples/api.conf does what it says.
use lib 't/lib';
use Weir;
use JSON::PP;

my @b = map { Weir::Backend->new(sub { $_[0]->uri eq '/health' ? [200, ['Content-Type' => 'text/plain'], 'ok'] : 'app' }) } 1 .. 2;
my $conf = Weir::slurp("$Weir::top/conf/examples/api.conf");
my @was = ('127.0.0.1:9000', '127.0.0.1:9001', 'listen 8080', 'listen 127.0.0.1:8081');
my @is = ($b[0]->addr, $b[1]->addr, 'listen 127.0.0.1:%%PORT_0%%', 'listen 127.0.0.1:%%PORT_1%%');
$conf =~ s/\n    (.*?)\Q$was[$_]\E;/\n    $1$is[$_];/ or die $was[$_] for 0 .. 3;
$conf =~ s/interval=5s jitter=1s/interval=100ms/ or die;
my $w = Weir->new(conf => $conf, files => { 'banned.json' => '{}' })->start;
sub ask { my ($method, $path, $body) = @_; $body //= ''; return $w->raw("$method /api/9/http/$path HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body", port => 1) }
ok(wait_for(sub { my $j = decode_json(ask('GET', 'upstreams/app')->body); 2 == grep { $_->{state} eq 'up' } @{ $j->{peers} } }), 'both are well');
is($w->get('/')->body, 'app', 'and used');
is(ask('POST', 'keyvals/banned', '{"127.0.0.0/8": "abuse"}')->status, 201, 'banned');
is($w->get('/')->status, 403, 'at once');
is(ask('PATCH', 'keyvals/banned', '{"127.0.0.0/8": null}')->status, 204, 'no more');
is($w->get('/')->status, 200, 'at once');
$b[0]->stop;
ok(wait_for(sub { my $j = decode_json(ask('GET', 'upstreams/app')->body); 1 == grep { $_->{state} eq 'unhealthy' } @{ $j->{peers} } }), 'one is killed');
is($w->get('/')->status, 200, 'the other one serves') for 1 .. 6;
done_testing;
