# Where no access_log is said: logs/access.log in the combined format. Its variables are counted with those of the file,
# also when nothing else in it uses one.
use lib 't/lib';
use Weir;

my $w = Weir->new(files => { 'logs/keep' => '' }, conf => <<'EOC')->start;
events { }
http { server { listen 127.0.0.1:%%PORT_0%%; location / { root %%TESTDIR%%; } location /off { access_log off; } } }
EOC
$w->get('/logs/keep', headers => ['User-Agent' => 'tester']) for 1 .. 3;
sub lines { open my $io, '<', $w->dir . '/logs/access.log' or return ''; local $/; return scalar <$io> }
ok(wait_for(sub { lines() =~ /(?:.*\n){3}/ }, 5), 'three lines');
like(lines(), qr{^127\.0\.0\.1 - - \[[^\]]+\] "GET /logs/keep HTTP/1\.1" 200 0 "-" "tester"$}m, 'in the combined format');
done_testing;
