# Reloads that change the number of workers lose no connection: neither one that is queued nor one that comes meanwhile.
use lib 't/lib';
use Weir;

my $conf = <<'EOC';
events { worker_connections 256; }
http { server { listen 127.0.0.1:%%PORT_0%%; location / { return 200 "$pid"; } } }
EOC
my $w = Weir->new(conf => "worker_processes 4;\n$conf", daemon => 1)->start;
plan(skip_all => 'these promises are not nginx\'s') if $w->{nginx};
ok($w->wait_workers(4), 'four workers');

sub to_workers {
    my $n = shift;
    $w->write_file('weir.conf', $w->{text} =~ s/worker_processes \d+/worker_processes $n/r);
    ok($w->reload && $w->wait_workers($n), "a reload to $n workers");
}

# ---- queued in sockets of workers that go
my @stopped = $w->workers;
kill STOP => @stopped;
my @c = map { my $c = $w->connect; $c->send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); $c } 1 .. 60;
$w->write_file('weir.conf', $w->{text} =~ s/worker_processes \d+/worker_processes 1/r);
$w->signal('HUP');
my %by;
$by{ ($_->response // last)->body }++ for @c;
my ($one) = grep { my $p = $_; !grep { $p == $_ } @stopped } $w->workers;
is_deeply(\%by, { $one => 60 }, 'all that waited for four stopped workers are served by the one of the next generation');
kill CONT => @stopped;
ok(wait_for(sub { !grep { Weir::alive($_) } @stopped }), 'the old ones leave');

# ---- steering, and back
%by = ();
$by{ $w->get('/')->body }++ for 1 .. 40;
is_deeply(\%by, { $one => 40 }, 'new connections reach the one worker');
to_workers(3);
%by = ();
$by{ $w->get('/')->body }++ for 1 .. 60;
is(scalar(keys %by), 3, 'three workers: each gets some') or diag(explain(\%by));
to_workers(2);
to_workers(4);
%by = ();
$by{ $w->get('/')->body }++ for 1 .. 80;
is(scalar(keys %by), 4, 'four workers: each gets some') or diag(explain(\%by));

# ---- a worker that dies leaves its queue to the next one
@stopped = $w->workers;
kill STOP => @stopped;
@c = map { my $c = $w->connect; $c->send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); $c } 1 .. 40;
$w->expect_log(qr/worker process \d+ exited on signal 9/);
kill KILL => @stopped;
is(scalar(grep { my $r = $_->response; $r && $r->status == 200 } @c), 40, 'queued connections outlive killed workers');

# ---- under load
my @pids;
my $until = Time::HiRes::time() + 3;
pipe my $in, my $out or die;
for my $keep (0, 0, 1, 1) {
    my $pid = fork // die;
    push @pids, $pid and next if $pid;
    my ($c, $n, $bad) = (undef, 0, 0);
    while (Time::HiRes::time() < $until) {
        my $r = eval { $c //= $w->connect; $c->get('/', headers => [$keep ? () : (Connection => 'close')]) };
        $r && $r->status == 200 ? $n++ : $bad++;
        undef $c if !$r || !$keep || ($r->header('connection') // '') eq 'close';
    }
    syswrite $out, "$n $bad\n";
    Weir::leave();
}
close $out;
my $turns = 0;
while (Time::HiRes::time() < $until - 0.3) {
    my $n = 1 + $turns++ % 4;
    $w->write_file('weir.conf', $w->{text} =~ s/worker_processes \d+/worker_processes $n/r);
    $w->reload or last;
}
waitpid $_, 0 for @pids;
my ($n, $bad) = (0, 0);
for (<$in>) { my @f = split; $n += $f[0]; $bad += $f[1] }
is($bad, 0, "no request of $n failed over $turns reloads");

# ---- what a reload costs: nothing stays behind in the master
my $fds = () = glob "/proc/" . $w->pid . "/fd/*";
my ($before) = Weir::slurp('/proc/' . $w->pid . '/status') =~ /VmRSS:\s+(\d+)/;
$w->reload for 1 .. 10;
ok(wait_for(sub { my $now = () = glob "/proc/" . $w->pid . "/fd/*"; $now <= $fds + 1 }), 'no descriptor');
my ($after) = Weir::slurp('/proc/' . $w->pid . '/status') =~ /VmRSS:\s+(\d+)/;
cmp_ok($after, '<', $before + 1000, "no memory ($before kB, $after kB)") unless $w->sanitized;

done_testing;
