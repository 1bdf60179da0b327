# conf/examples/resilient.conf does what it says.
use lib 't/lib';
use Weir;

my $file = sub { Weir::scratch() . "/$_[0]" };
sub touch { open my $io, '>', $_[0] or die }
my @b = map { my $n = $_; Weir::Backend->new(sub {
    my ($req) = @_;
    return 'well' if $req->uri eq '/health';
    return [500, [], 'no'] if -e $file->("broken$n");
    if ($req->uri =~ /hang/ && -e $file->("hang$n")) { select undef, undef, undef, 0.01 while -e $file->("hang$n") }
    return $n;
}) } 1 .. 4;
my $conf = Weir::slurp("$Weir::top/conf/examples/resilient.conf");
$conf =~ s/listen 8080/listen 127.0.0.1:%%PORT_0%%/ or die;
for my $n (1 .. 4) { my $addr = $b[$n - 1]->addr; $conf =~ s/127\.0\.0\.1:900$n\b/$addr/ or die }
my $w = Weir->new(conf => $conf)->start;
sub many { my ($n, $uri) = @_; my %s; for (1 .. $n) { my $m = $w->get($uri // '/'); $s{ $m->status }++ } return \%s }

is_deeply(many(100), { 200 => 100 }, 'all is well');
# The one that is the quickest now, and so the one that is asked; of the others one dies and two hang.
my $quickest = $w->get('/')->body;
my ($dies, @hang) = grep { $_ != $quickest } 1 .. 4;
touch($file->("broken$quickest"));
my $bad = 0;
ok(wait_for(sub { $bad += many(10)->{500} // 0; $w->error_log =~ /of upstream "app" was up, is ejected: 5 errors in a row; for 30s/ }, 30), 'a server that fails is ejected');
cmp_ok($bad, '<=', 12, "after five errors in a row ($bad were seen)");
is_deeply(many(40), { 200 => 40 }, 'then no client sees it');
$b[$dies - 1]->stop;
is_deeply(many(60), { 200 => 60 }, 'a server is killed: no client sees it');
touch($file->("hang$_")) for @hang;
my $c = $w->connect;
$c->request('GET', '/hang');
ok($w->wait_error(qr{no answer for \d+ ms, \S+ is asked as well.*"GET /hang }), 'one that takes long is sent to another server too');
unlink $file->("hang$_") for @hang;
is($c->response->status, 200, 'and is answered');
ok(wait_for(sub { Weir::slurp($w->dir . '/logs/access.log') =~ m{/hang HTTP/1\.1" 200 \S+(?:, \S+)+ (?=[^\n]*\b200\b)(?:200|502|-)(?:, (?:200|502|-))+ } }, 5), 'both are in the log');      # 502: the dead one
done_testing;
