# least_conn: exact over four workers, as the servers themselves count it: with so many requests in hand each has its part, by weight.
use lib 't/lib';
use Weir;

my $gate = Weir::scratch() . '/gate';
my @weights = (1, 1, 2, 1, 3, 2);
my @b = map { my $n = $_; Weir::Backend->new(sub {
    my ($req) = @_;
    if ($req->uri =~ /hold/) { select undef, undef, undef, 0.01 until -e $gate }
    return $n;
}) } 0 .. $#weights;
my $servers = join ' ', map { 'server ' . $b[$_]->addr . " weight=$weights[$_];" } 0 .. $#b;
my $w = Weir->new(conf => <<"EOC")->start;
worker_processes 4;
events { }
http {
    upstream u { least_conn; $servers keepalive 0; }
    server { listen 127.0.0.1:%%PORT_0%%; location / { proxy_pass http://u; } }
}
EOC
sub in_hand { return [map { $_->requests } @b] }
sub held { my $n = shift; return map { my $c = $w->connect(timeout => 30); $c->request('GET', '/hold', headers => [Connection => 'close']); $c } 1 .. $n }

my @c = held(50);
wait_for(sub { my $n = 0; $n += $_ for @{ in_hand() }; $n == 50 }, 20);
is_deeply(in_hand(), [map { 5 * $_ } @weights], 'fifty at once: each server has five for its weight');
push @c, held(30);
wait_for(sub { my $n = 0; $n += $_ for @{ in_hand() }; $n == 80 }, 20);
is_deeply(in_hand(), [map { 8 * $_ } @weights], 'thirty more: eight');
open my $io, '>', $gate or die;
my %at;
$at{ $_->response->body }++ for @c;
is_deeply(\%at, { map { $_ => 8 * $weights[$_] } 0 .. $#weights }, 'all are answered by who had them');

# What was given back counts no more: the next ones begin at nothing.
unlink $gate;
my @before = @{ in_hand() };
@c = held(20);
wait_for(sub { my $n = 0; $n += $_ for @{ in_hand() }; $n == 100 }, 20);
my $now = in_hand();
is_deeply([map { $now->[$_] - $before[$_] } 0 .. $#b], [map { 2 * $_ } @weights], 'and again, from nothing');
open $io, '>', $gate or die;
$_->response for @c;
done_testing;
