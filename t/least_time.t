# least_time and random two least_time: by the times that servers really take, over four workers.
use lib 't/lib';
use Weir;

# a: quick header, slow body; b: slow header, then all at once; c: slow in both.
sub body_later { my ($conn, $s) = @_; $conn->send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"); select undef, undef, undef, $s; return $conn->send($_[2]) }
my %late = (a => [0, 0.15], b => [0.06, 0], c => [0.12, 0.15]);
my @b = map { my $n = $_; Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    select undef, undef, undef, $late{$n}[0] if $late{$n}[0];
    body_later($conn, $late{$n}[1], $n);
    return undef;
}) } qw(a b c);
my $servers = join ' ', map { 'server ' . $_->addr . ';' } @b;
my $w = Weir->new(conf => <<"EOC")->start;
worker_processes 4;
events { }
http {
    upstream header { least_time header; $servers }
    upstream last_byte { least_time last_byte; $servers }
    upstream two { random two least_time=header; $servers }
    upstream two_last { random two least_time=last_byte; $servers }
    server { listen 127.0.0.1:%%PORT_0%%; location ~ ^/(?<g>\\w+)\$ { proxy_buffering off; proxy_pass http://\$g; } }
}
EOC
# A busy machine may make any of them slow once: what is not asked is forgiven with time.
sub many { my ($uri, $n) = @_; my %at = map { $_ => 0 } qw(a b c); $at{ $w->get($uri)->body }++ for 1 .. $n; return \%at }
for (['header', 'a'], ['last_byte', 'b']) {
    my ($how, $best) = @$_;
    my $at;
    many("/$how", 6);
    ok(wait_for(sub { $at = many("/$how", 12); $at->{$best} >= 11 }, 60), "least_time $how: $best is best") or diag explain $at;
}
# By chance the two may both be others, or one that was drawn twice.
for (['two', 'a'], ['two_last', 'b']) {
    my ($how, $best) = @$_;
    my $at;
    many("/$how", 6);
    ok(wait_for(sub { $at = many("/$how", 30); $at->{$best} >= 12 && $at->{c} <= 4 }, 60), "random $how: $best mostly, the slowest hardly ever") or diag explain $at;
}

sub said {
    my $x = Weir->new(conf => "events { }\nhttp { upstream u { $_[0] server 127.0.0.1:1; } server { listen 127.0.0.1:%%PORT_0%%; } }\n");
    my ($code, $out) = $x->t_binary('-t');
    $x->expect_log(qr/\[emerg\]/, 'it is refused');
    return $code ? $out : 'good';
}
like(said('least_time connect;'), qr/invalid parameter "connect"/, 'a time that is none of HTTP');
like(said('least_time;'), qr/invalid number of arguments in "least_time"/, 'no time');
like(said('random two least_time=x;'), qr/invalid parameter "least_time=x"/, 'random of an unknown time');
like(said('least_time header; least_conn;'), qr/^(good|.*load balancing method redefined)/s, 'the last method counts');
done_testing;
