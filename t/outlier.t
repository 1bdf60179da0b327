# outlier, panic_threshold: who does worse than the others is left alone for a while, seen by all workers; too few left: all are asked.
use lib 't/lib';
use Weir;

my $broken = Weir::scratch() . '/broken';
my $slow = Weir::scratch() . '/slow';
sub touch { open my $io, '>', $_[0] or die }
my @b = map { my $n = $_; Weir::Backend->new(sub {
    my ($req) = @_;
    select undef, undef, undef, 0.8 if $n == 1 && -e $slow;
    return [500, [], 'no'] if $n == 1 && -e $broken;
    return $n;
}) } 0 .. 4;
my @away = map { '127.0.0.1:' . Weir::free_port() } 1 .. 3;
my $servers = join ' ', map { 'server ' . $_->addr . ' max_fails=0;' } @b;
my $dead = join ' ', map { "server $_ max_fails=0;" } @away;
my $gone = join ' ', map { "server $_ max_fails=1 fail_timeout=60s;" } @away;
my $w = Weir->new(vars => { ONE => $b[0]->addr }, conf => <<"EOC")->start;
worker_processes 4;
events { }
http {
    log_format l "\$uri \$status \$upstream_addr";
    access_log access.log l;
    upstream row { zone row 64k; $servers outlier consecutive=3 ejection=60s interval=60s; }
    upstream soon { $servers outlier consecutive=2 ejection=1s; }
    upstream rate { $servers outlier success_rate=1.5 interval=2s min_requests=1 min_peers=4 ejection=60s; }
    upstream late { $servers outlier latency=8 interval=4s min_requests=2 min_peers=4 ejection=60s; }
    upstream half { $dead server %%ONE%% max_fails=0; outlier consecutive=2 ejection=60s max_ejected=100%; panic_threshold 30%; }
    upstream fear { $gone server %%ONE%%; panic_threshold 50%; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /row { proxy_pass http://row; }
        location /soon { proxy_pass http://soon; }
        location /rate { proxy_pass http://rate; }
        location /late { proxy_pass http://late; }
        location /half { proxy_pass http://half; }
        location /fear { proxy_pass http://fear; }
        location /api { api; }
    }
}
EOC
sub bodies { my ($uri, $n) = @_; my %s; for (1 .. $n) { my $m = $w->get($uri); $s{ $m->status == 200 ? $m->body : $m->status }++ } return \%s }
sub state_of { my $n = shift; my ($one) = $w->get('/api/9/http/upstreams/row')->body =~ /("id":1,.*?)"id":2,/s; return $one =~ /"\Q$n\E":\s*"([^"]*)"/ ? $1 : '' }

# In a row: at once, all workers know it, the state tells why, and it comes back.
is_deeply(bodies('/row', 20), { map { $_ => 4 } 0 .. 4 }, 'all are asked');
is(state_of('state'), 'up', 'up');
touch($broken);
is(bodies('/row', 40)->{500}, 3, 'three errors, then nobody asks it');
is(state_of('state'), 'ejected', 'the state');
is(state_of('reason'), '3 errors in a row; for 60s', 'and why');
ok($w->wait_error(qr/peer \S+ of upstream "row" was up, is ejected: 3 errors in a row; for 60s/), 'the log too');
ok(wait_for(sub { bodies('/soon', 5); $w->error_log =~ /of upstream "soon" was up, is ejected: 2 errors in a row; for 1s/ }, 20), 'another group');
unlink $broken;
ok(wait_for(sub { bodies('/soon', 5)->{1} }, 10), 'it comes back');
ok($w->wait_error(qr/was ejected, is up: the time of its ejection is over/), 'the log tells');

# Against the group.
touch($broken);
ok(wait_for(sub { bodies('/rate', 50); $w->error_log =~ /of upstream "rate" was up, is ejected: success 0\.0%, mean (?:75|80)\.0%; for 60s/ }, 20), 'its success rate is none among many');
ok(!bodies('/rate', 20)->{500}, 'it is left alone');
unlink $broken;
touch($slow);
ok(wait_for(sub { bodies('/late', 15); $w->error_log =~ /of upstream "late" was up, is ejected: header in [\d.]+ms, median [\d.]+ms; for 60s/ }, 40), 'it is slow');
unlink $slow;
is_deeply([sort keys %{ bodies('/late', 20) }], [0, 2, 3, 4], 'the others are asked');

# A reload keeps who is ejected; a configuration without outlier lets them back.
ok($w->reload, 'reload');
is_deeply([sort keys %{ bodies('/late', 20) }], [0, 2, 3, 4], 'still ejected');

# Three of four ejected: 25 % are healthy, which is less than 30 %.
is_deeply(bodies('/half', 30), { 0 => 30 }, 'no client sees it');
sub panics { my ($name, $re) = @_; return wait_for(sub { bodies("/$name", 1); $w->error_log =~ $re }) }      # seen by a request, at most each 100 ms
ok(panics('half', qr/upstream "half" is in panic: 1 of 4 peers are healthy, all are asked/), 'panic');
is_deeply(bodies('/fear', 30), { 0 => 30 }, 'nor here');
ok(panics('fear', qr/upstream "fear" is in panic: 1 of 4 peers are healthy/), 'max_fails counts too');
bodies('/fear', 30);
my ($n, $all) = (0, 0);
for (grep { m{^/fear} } $w->wait_access(0), split /\n/, $w->access_log) { $all++; $n++ if /, / }
ok($n > 15, "in panic the dead ones are asked again and again: $n of $all");

my $conf = $w->{conf};
$conf =~ s/outlier[^;]*;//g;
$w->write_conf($conf);
ok($w->reload, 'no outlier any more');
ok($w->wait_error(qr/was ejected, is up: outliers are not looked for any more/), 'they come back');
ok(wait_for(sub { keys %{ bodies('/late', 10) } == 5 }, 10), 'and are asked');

for my $line ('outlier what=3;', 'outlier consecutive=0;', 'outlier success_rate=x;', 'outlier max_ejected=10;', 'outlier ejection=10s max_ejection=5s;', 'panic_threshold 50;', 'panic_threshold 0%;', 'least_time header inflight=1;', 'least_time header in flight;') {
    my $wrong = Weir->new(conf => "events { } http { upstream u { server 127.0.0.1:1; $line } }", plain => 1);
    my ($code, $out) = $wrong->t_binary;
    is($code, 1, "$line is refused") or diag($out);
}
done_testing;
