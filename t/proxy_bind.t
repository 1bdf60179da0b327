# proxy_bind … transparent: a worker without root's rights binds to addresses that are not ours. In a network of the test's own.
use lib 't/lib';
use Weir;

my ($unshare, $ip) = map { my $name = $_; (grep { -x } map { "$_/$name" } qw(/usr/bin /usr/sbin /bin /sbin))[0] } qw(unshare ip);
plan(skip_all => 'needs root, unshare and ip') unless $> == 0 && $unshare && $ip;
if (!$ENV{WEIR_TEST_NET}) {
    $ENV{WEIR_TEST_NET} = 1;
    plan(skip_all => 'no network of our own is to be had') if system("$unshare -n true 2>/dev/null");
    exec { $unshare } $unshare, '-n', $^X, $0;
}
# What answers 10.9.9.1 gets comes back to this host, whatever its address.
for ('link set lo up', 'addr add 10.9.9.1/32 dev lo', 'route add local 192.0.2.0/24 dev lo table 100', 'rule add from 10.9.9.1 lookup 100 pref 5') { system("$ip $_") == 0 or die "ip $_\n" }

my $w = Weir->new(conf => <<'EOC')->start;
user nobody nogroup;
events { }
http {
    proxy_temp_path %%TESTDIR%%/temp;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /fixed { proxy_bind 192.0.2.7 transparent; proxy_pass http://10.9.9.1:%%PORT_1%%; }
        location /client { proxy_bind $arg_a:$arg_p transparent; proxy_pass http://10.9.9.1:%%PORT_1%%; }
        location /not { proxy_bind 192.0.2.8; proxy_pass http://10.9.9.1:%%PORT_1%%; }
        location /ours { proxy_bind 127.0.0.5; proxy_pass http://127.0.0.1:%%PORT_2%%; }
        location /none { proxy_bind $arg_a; proxy_pass http://127.0.0.1:%%PORT_2%%; }
        location /off { proxy_bind off; proxy_pass http://127.0.0.1:%%PORT_2%%; }
    }
    server { listen 10.9.9.1:%%PORT_1%%; return 200 "$remote_addr:$remote_port"; }
    server { listen 127.0.0.1:%%PORT_2%%; return 200 $remote_addr; }
}
EOC
my ($worker) = $w->workers;
sub uid { return (Weir::slurp("/proc/$_[0]/status") =~ /^Uid:\s+(\d+)/m)[0] }
wait_for(sub { uid($worker) });
my ($uid) = Weir::slurp("/proc/$worker/status") =~ /^Uid:\s+(\d+)/m;
ok($uid, 'the worker is not root');
like($w->get('/fixed')->body, qr/^192\.0\.2\.7:\d+$/, 'an address that is not ours');
is($w->get('/client?a=192.0.2.9&p=4567')->body, '192.0.2.9:4567', 'address and port from variables');
is($w->get('/not')->status, 502, 'not without "transparent"');
like($w->error_log, qr/bind\(\) failed \(99: Cannot assign requested address\)/, 'which is told of');
is($w->get('/ours')->body, '127.0.0.5', 'one of ours needs no more');
is($w->get('/none')->body, '127.0.0.1', 'an empty one is none');
is($w->get('/none?a=what')->body, '127.0.0.1', 'nor is what is no address');
is($w->get('/off')->body, '127.0.0.1', 'off');
my ($caps) = Weir::slurp("/proc/$worker/status") =~ /^CapEff:\s+(\S+)/m;
is(hex $caps, 1 << 13, 'the worker has kept CAP_NET_RAW, and nothing else');
my $v = Weir->new(conf => "user nobody nogroup;\nevents { }\nhttp { server { listen 127.0.0.1:%%PORT_0%%; location / { proxy_bind 127.0.0.5; proxy_pass http://127.0.0.1:1; } } }")->start;
($worker) = $v->workers;
wait_for(sub { uid($worker) });
is(hex((Weir::slurp("/proc/$worker/status") =~ /^CapEff:\s+(\S+)/m)[0]), 0, 'none where nobody asks for it');
done_testing;
