# queue: requests wait while all servers are busy: in order, exactly as many at a time as max_conns says, over all workers.
use lib 't/lib';
use Weir;
use Fcntl qw(:flock O_RDWR O_CREAT);
use Time::HiRes qw(time sleep);

my $gate = Weir::scratch() . '/gate';
my $file = Weir::scratch() . '/now';
sub count {     # adds n to how many are in hand; keeps the most there were
    my $n = shift;
    sysopen my $io, $file, O_RDWR | O_CREAT or die;
    flock $io, LOCK_EX;
    my ($now, $most) = split ' ', <$io> // '';
    $now = ($now // 0) + $n;
    $most = $now if $now > ($most // 0);
    seek $io, 0, 0;
    print $io "$now $most\n";
    close $io;
}
sub most { return (split ' ', Weir::slurp($file))[1] // 0 }
my $backend = Weir::Backend->new(sub {
    my ($req) = @_;
    count(1);
    if ($req->uri =~ /hold/) { select undef, undef, undef, 0.005 until -e $gate } else { sleep 0.01 }
    count(-1);
    return $req->uri =~ /bad/ ? [503, [], 'bad'] : 'ok ' . $req->uri;
});
my $other = Weir::Backend->new(sub { 'other' });
my %vars = (B => $backend->addr, O => $other->addr);
my $conf = <<'EOC';
worker_processes %%WORKERS%%;
events { }
http {
    log_format l "$uri $status $upstream_status $upstream_queue_time";
    access_log access.log l;
    upstream three { server %%B%% max_conns=3; queue 1000 timeout=100s; }
    upstream one { server %%B%% max_conns=1; queue 5 timeout=100s; }
    upstream soon { server %%B%% max_conns=1; queue 5 timeout=500ms; }
    upstream pair { server %%B%% max_conns=1; server %%O%% max_conns=1 max_fails=0; queue 100 timeout=100s; }
    upstream plain { server %%B%% max_conns=1; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /three { proxy_pass http://three; }
        location /one { proxy_pass http://one; }
        location /soon { proxy_pass http://soon; }
        location /late { proxy_deadline 200ms; proxy_pass http://one; }
        location /pair { proxy_next_upstream http_503; proxy_pass http://pair; }
        location /plain { proxy_pass http://plain; }
    }
}
EOC
my $w = Weir->new(vars => { %vars, WORKERS => 4 }, conf => $conf)->start;
my @c = map { my $c = $w->connect(timeout => 100); $c->request('GET', "/three/$_", headers => [Connection => 'close']); $c } 1 .. 120;
my %got;
for (@c) { my $m = $_->response; $got{ $m ? $m->status : 'none' }++ }
is_deeply(\%got, { 200 => 120 }, 'four workers, 120 at once, three at a time: all are answered');
is(most(), 3, 'never more than three');
ok((grep { m{^/three/\d+ 200 200 \d\.\d{3}$} } $w->wait_access(120)) > 50, 'most have waited, and the log says how long');
$w->stop;

$w = Weir->new(vars => { %vars, WORKERS => 1 }, conf => $conf, log_level => 'debug')->start;
sub hold { unlink $gate; my $c = $w->connect(timeout => 100); $c->request('GET', $_[0]); my $n = $backend->requests; ok(wait_for(sub { (split ' ', Weir::slurp($file))[0] == 1 }, 20), "$_[0] is in hand"); return $c }
sub ask { my $c = $w->connect(timeout => 100); $c->request('GET', $_[0]); return $c }
my $queued = 0;
sub wait_queued { $queued += $_[0]; ok(wait_for(sub { (() = $w->error_log =~ /exchange: \w+ to queued/g) >= $queued }, 20), 'it waits') }
sub open_gate { open my $io, '>', $gate or die }

my $held = hold('/plain/hold');
is($w->get('/plain')->status, 502, 'without a queue: 502 at once');
open_gate();
$held->response;

$held = hold('/one/hold');
my @wait = map { my $c = ask("/one/$_"); wait_queued(1); $c } 1 .. 5;
is(ask('/one/6')->response->status, 502, 'the queue is full: 502 at once');
ok($w->wait_error(qr/the queue of upstream "one" is full/), 'the log says so');
$wait[2]->close;       # one leaves
ok(wait_for(sub { $w->access_log =~ m{^/one/3 499}m }, 5), 'who leaves is out of it');
is(ask('/late/1')->response->status, 504, 'a deadline is stronger');
$queued++;
push @wait, map { my $c = ask("/one/$_"); wait_queued(1); $c } 11;
open_gate();
is($held->response->status, 200, 'a place is free');
is(join(' ', map { $_->response->body } @wait[0, 1, 3 .. 5]), 'ok /one/1 ok /one/2 ok /one/4 ok /one/5 ok /one/11', 'they are answered');
$held = hold('/one/hold');
@wait = map { my $c = ask("/one/$_"); wait_queued(1); $c } 11 .. 14;
open_gate();
is($held->response->status, 200, 'a place is free');
is(join(' ', map { $_->response->body } @wait), 'ok /one/11 ok /one/12 ok /one/13 ok /one/14', 'they are answered');
$held = hold('/soon/hold');
my $from = time;
@wait = map { ask("/soon/$_") } 1 .. 4;
is(join(' ', map { $_->response->status } @wait), '502 502 502 502', 'nobody became free in time: 502');
ok(time - $from > 0.4, 'after the timeout');
ok($w->wait_error(qr/no server of upstream "soon" became free in time/), 'the log says so');
ok($w->access_log =~ m{^/soon/1 502 502 (\d+\.\d\d\d)$}m && $1 >= 0.4, 'and how long it was');
open_gate();
is($held->response->status, 200, 'who was in hand is answered');
is(join(' ', map { $_->[4] =~ m{/one/(\d+)$} ? $1 : () } grep { $_->[0] eq 'req' } $backend->log), '1 2 4 5 11 11 12 13 14', 'in their order');

# A retry waits as well, for a peer that was not asked yet.
is($w->get("/pair/bad$_")->body, 'other', 'passed on to the other one') for 1 .. 3;
my @p = map { ask("/pair/bad$_") } 1 .. 20;
is(scalar(grep { my $m = $_->response; $m && $m->status == 200 && $m->body eq 'other' } @p), 20, 'twenty at once as well');
is(most(), 3, 'never more than was said');

for my $line ('queue;', 'queue 0;', 'queue 5 timeout=0;', 'queue 5 what;', 'queue x;') {
    my $wrong = Weir->new(conf => "events { } http { upstream u { server 127.0.0.1:1; $line } }", plain => 1);
    my ($code, $out) = $wrong->t_binary;
    is($code, 1, "$line is refused") or diag($out);
}
done_testing;
