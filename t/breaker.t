# breaker: what fails is left alone for a while, and what is in hand is bounded, over all workers.
use lib 't/lib';
use Weir;
use Time::HiRes 'time';

my $broken = Weir::scratch() . '/broken';
my $gate = Weir::scratch() . '/gate';
sub touch { open my $io, '>', $_[0] or die }
my $backend = Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    if ($req->uri =~ /hold/) { select undef, undef, undef, 0.01 until -e $gate }
    return -e $broken ? [500, [], 'no'] : 'ok';
});
# Nobody accepts here, and what may wait is full: connecting takes for ever.
my $deaf = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => Weir::free_port(), Listen => 1) or die;
my @fill = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $deaf->sockport, Blocking => 0) } 1 .. 8;
my $w = Weir->new(vars => { B => $backend->addr, AWAY => '127.0.0.1:' . Weir::free_port(), DEAF => '127.0.0.1:' . $deaf->sockport }, conf => <<'EOC')->start;
worker_processes 4;
events { }
http {
    log_format l "$uri $status $upstream_status $upstream_breaker";
    access_log access.log l;
    upstream rate { server %%B%%; breaker errors=50% min=10 interval=60s open=700ms probes=2; }
    upstream away { server %%AWAY%%; breaker errors=50% min=4 open=60s; }
    upstream most { server %%B%%; breaker max_requests=3; }
    upstream deaf { server %%DEAF%%; breaker max_pending=2; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://rate; }
        location /away { proxy_pass http://away; }
        location /most/ { proxy_pass http://most; }
        location /deaf { proxy_connect_timeout 1s; proxy_pass http://deaf; }
    }
}
EOC
sub status { return $w->get($_[0])->status }
sub statuses { my ($uri, $n) = @_; my %s; $s{ status($uri) }++ for 1 .. $n; return \%s }
sub asked { return $backend->requests }

is_deeply(statuses('/x', 12), { 200 => 12 }, 'closed');
touch($broken);
my $before = asked();
is_deeply(statuses('/x', 11), { 500 => 11 }, 'not yet half of them failed');
is(status('/x'), 500, 'now they have');
is_deeply(statuses('/x', 20), { 503 => 20 }, 'open: refused, by every worker');
is(asked() - $before, 12, 'without a word to the upstream');
ok($w->wait_error(qr/the breaker of upstream "rate" opens: 12 of 24 tries failed/), 'the log says so');
ok($w->wait_error(qr/upstream "rate" is not asked: the breaker is open/), 'and why they were refused');
ok((grep { $_ eq '/x 503 503 open' } $w->wait_access(44)), 'and the variable');

$before = asked();
ok(wait_for(sub { status('/x') == 500 }, 5), 'after its rest it is half open: one probe');
is_deeply(statuses('/x', 5), { 503 => 5 }, 'it failed: open again');
is(asked() - $before, 1, 'one request was all');
ok($w->wait_error(qr/half open/) && $w->wait_error(qr/opens again: a probe failed/), 'the log tells both');
unlink $broken;
ok(wait_for(sub { status('/x') == 200 }, 5), 'after another rest: a probe is answered well');
is_deeply(statuses('/x', 20), { 200 => 20 }, 'a second one, and all is as before');
ok($w->wait_error(qr/the breaker of upstream "rate" closes; it was opened 2 times and refused \d+ requests/), 'the log tells');
is_deeply(statuses('/away', 8), { 502 => 4, 503 => 4 }, 'connections that are refused count');

# Exactly three in hand, whoever took them.
unlink $gate;
$before = asked();
my @c = map { my $c = $w->connect; $c->request('GET', '/most/hold', headers => [Connection => 'close']); $c } 1 .. 40;
ok(wait_for(sub { (my @n = $w->access_log =~ m{^/most/hold 503 }mg) == 37 }, 5), '37 of 40 are refused');
ok(wait_for(sub { asked() - $before >= 3 }, 5), 'three are asked');
touch($gate);
my %got;
$got{ $_->response->status }++ for @c;
is_deeply(\%got, { 200 => 3, 503 => 37 }, 'exactly');
is(asked() - $before, 3, 'and no more');
is_deeply(statuses('/most/x', 12), { 200 => 12 }, 'and then there is room');

# Workers die with requests in hand: their places are free again.
unlink $gate;
my @held = map { my $c = $w->connect; $c->request('GET', '/most/hold'); $c } 1 .. 3;
ok(wait_for(sub { status('/most/x') == 503 }, 5), 'full');
my @old = $w->workers;
$w->signal('KILL', $_) for @old;
ok(wait_for(sub { my %now = map { $_ => 1 } $w->workers; keys %now == 4 && !grep { $now{$_} } @old }, 10), 'all workers are new');
ok(wait_for(sub { my $m = eval { $w->get('/most/x') }; $m && $m->status == 200 }, 5), 'what the dead ones held is given back');
$w->expect_log(qr/exited on signal 9/);
touch($gate);

# Two may wait for a connection.
my $from = time;
my @d = map { my $c = $w->connect; $c->request('GET', '/deaf', headers => [Connection => 'close']); $c } 1 .. 12;
my %deaf;
$deaf{ $_->response->status }++ for @d;
is_deeply(\%deaf, { 503 => 10, 504 => 2 }, 'ten are refused at once, two wait their time');

# A reload keeps what is known.
is(status('/away'), 503, 'open');
ok($w->reload, 'reload');
is_deeply(statuses('/away', 8), { 503 => 8 }, 'still open');

for my $line ('breaker;', 'breaker errors=50;', 'breaker errors=0%;', 'breaker open=0;', 'breaker what=3;', 'breaker errors=101%;') {
    my $wrong = Weir->new(conf => "events { } http { upstream u { server 127.0.0.1:1; $line } }", plain => 1);
    my ($code, $out) = $wrong->t_binary;
    is($code, 1, "$line is refused") or diag($out);
}
done_testing;
