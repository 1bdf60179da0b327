# Eight servers, four workers, load; one server is killed and comes back: no client sees an error, within one interval of its health
# check nobody asks it any more, and when it is back it gets its part little by little.
use lib 't/lib';
use Weir;
use Time::HiRes qw(sleep time);

my @b = map { Weir::Backend->new(sub { 'ok' }) } 1 .. 8;
my $servers = join ' ', map { 'server ' . $_->addr . ' max_fails=0 slow_start=6s;' } @b;
my $w = Weir->new(conf => <<"EOC")->start;
worker_processes 4;
events { }
http {
    keepalive_requests 1000000;
    upstream u { zone u 64k; $servers keepalive 16; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://u; health_check interval=2s; }
        location /api { api; access_log off; }
    }
}
EOC
sub peer { my ($n, $key) = @_; my ($one) = $w->get('/api/9/http/upstreams/u')->body =~ /("id":$n,.*?)(?:"id":|\z)/s; return $one =~ /"$key":"?(\w+)/ ? $1 : '' }

# Bounded: six clients, at most two hundred requests a second each, until the file is there.
my $end = Weir::scratch() . '/end';
my @clients = map {
    pipe my $in, my $out or die;
    my $pid = fork // die;
    if (!$pid) {
        my (%s, $c);
        for my $i (1 .. 12000) {
            last if -e $end;
            $c //= $w->connect;
            my $m = eval { $c->get('/') };
            $s{ $m ? $m->status : 'broken' }++;
            undef $c unless $m;
            sleep 0.005;
        }
        print $out join(' ', %s), "\n";
        close $out;
        Weir::leave();
    }
    { pid => $pid, in => $in };
} 1 .. 6;

sub counts { return map { $_->requests } @b }
sub served { my ($from, $to) = @_; return map { $to->[$_] - $from->[$_] } 0 .. $#b }
my $dead = $b[3];
ok(wait_for(sub { my @n = counts(); !grep { $_ < 20 } @n }, 30), 'all eight serve');
my $checks = peer(3, 'checks');
my @failed_before = () = $w->error_log =~ /connect\(\) failed/g;
kill KILL => -$dead->pid;
$dead->stop;
ok($w->wait_error(qr/peer \Q${\$dead->addr}\E of upstream "u" was up, is unhealthy/), 'its health check fails');
cmp_ok(peer(3, 'checks') - $checks, '<=', 2, 'the first one after it was killed');
is(peer(3, 'state'), 'unhealthy', 'it is unhealthy');
my $asked = -1;
wait_for(sub { my ($now, $was) = (peer(3, 'requests'), $asked); $asked = $now; $now == $was }, 10);        # tries that began before that
my @before = counts();
ok(wait_for(sub { my @n = counts(); $n[0] - $before[0] > 100 }, 30), 'the others go on');
is(peer(3, 'requests'), $asked, 'nobody asks it any more');

$dead->start;
ok($w->wait_error(qr/peer \Q${\$dead->addr}\E of upstream "u" was unhealthy, is up/), 'it is back');
my $from = time;
my @back = counts();
sub share { my @n = served(\@back, [counts()]); my $others = 0; $others += $n[$_] for grep { $_ != 3 } 0 .. $#b; return $others ? $n[3] / ($others / 7) : 0 }
sleep 0.05 while time < $from + 2;
my ($early, $at) = (share(), time - $from);
sleep 0.05 while time < $from + 7;
@back = counts();
ok(wait_for(sub { my @n = served(\@back, [counts()]); $n[0] > 150 }, 30), 'more');
my $late = share();
# After t of 6 seconds it has had t / 12 of its part.
cmp_ok($early, '<', 0.25 + $at / 12, sprintf 'its part of the first %.1f s: %.2f', $at, $early);
cmp_ok($early, '>', 0, 'it has some');
cmp_ok($late, '>', 0.8, sprintf 'its part after slow_start: %.2f', $late);
cmp_ok($late, '<', 1.2, 'and no more');

open my $io, '>', $end or die;
my (%all, $total);
for my $client (@clients) {
    my $fh = $client->{in};
    my %s = split ' ', <$fh> // 'lost 1';
    waitpid $client->{pid}, 0;
    $all{$_} += $s{$_} for keys %s;
}
$total += $_ for values %all;
is_deeply(\%all, { 200 => $total }, "no client saw an error ($total requests)");
done_testing;
