# least_time … inflight: a server that hangs looks slow before it has answered, to all workers; without it, it does not.
use lib 't/lib';
use Weir;

my $gate = Weir::scratch() . '/gate';
my $quick = Weir::Backend->new(sub { if ($_[0]->uri =~ /hang/) { select undef, undef, undef, 0.01 until -e $gate } return 'quick' });
my $slow = Weir::Backend->new(sub { select undef, undef, undef, 0.25; return 'slow' });
my $servers = 'server ' . $quick->addr . '; server ' . $slow->addr . ';';
my $w = Weir->new(conf => <<"EOC")->start;
worker_processes 4;
events { }
http {
    upstream header { least_time header inflight; $servers }
    upstream last_byte { least_time last_byte inflight; $servers }
    upstream without { least_time header; $servers }
    server { listen 127.0.0.1:%%PORT_0%%; location ~ ^/(?<g>\\w+)/ { proxy_pass http://\$g; } }
}
EOC
for my $how (qw(header last_byte without)) {
    ok(wait_for(sub { my %at; $at{ $w->get("/$how/x")->body }++ for 1 .. 10; ($at{quick} // 0) == 10 }, 20), "$how: the quick one is asked");
    unlink $gate;
    my $before = $slow->requests;
    my @c = map { my $c = $w->connect; $c->request('GET', "/$how/hang"); $c } 1 .. 3;
    if ($how eq 'without') {
        $w->get("/$how/x") for 1 .. 20;
        cmp_ok($slow->requests - $before, '<=', 3, "$how: so it is while its requests hang");
    } else {
        ok(wait_for(sub { $w->get("/$how/x")->body eq 'slow' && $w->get("/$how/x")->body eq 'slow' }, 20), "$how: its requests hang: the other one is asked");
    }
    open my $io, '>', $gate or die;
    close $io;
    $_->response for @c;
}
done_testing;
