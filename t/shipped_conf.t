# The configuration files that come with weir: as they are, and with every example in them switched on.
use lib 't/lib';
use Weir;
use Weir::Pem;

sub shipped { return Weir::slurp("$Weir::top/conf/$_[0]") }

my %files = ('mime.types' => shipped('mime.types'), 'html/index.html' => shipped('html/index.html'), 'html/50x.html' => shipped('html/50x.html'));

# Ports of the files become free ones.
my $text = shipped('weir.conf');
$text =~ s/listen(\s+)80\b/"listen${1}127.0.0.1:%%PORT_0%%"/ge;
$text =~ s/listen(\s+)443\b/"listen${1}127.0.0.1:%%PORT_1%%"/ge;
my $w = Weir->new(conf => $text, files => \%files)->start;
my $r = $w->get('/');
is($r->status, 200, 'weir.conf: /');
is($r->header('Content-Type'), 'text/html', 'type by name');
like($r->body, qr/weir works/, 'the page');
is($w->get('/none')->status, 404, 'not found');
is(scalar(() = $w->wait_access(2, 'logs/access.log')), 2, 'access log');
ok($w->stop, 'stop');

(my $all = $text) =~ s/^(\s*)#(?=\w|\}|    )/$1/mg;
$all =~ s/^(user|error_log|pid)\b/#$1/mg;
unlike($all, qr/^\s*#(location|upstream|server)/m, 'the examples are switched on');
my $pem = Weir::Pem->new(Weir::scratch() . '/pem')->ca('cert');
$w = Weir->new(conf => $all, files => { %files, map { $_ => $pem->read($_) } qw(cert.pem cert.key) });
my ($code, $said) = $w->t_binary;
is($code, 0, 'with all examples: -t') or diag $said, $all;

# Parameters for scripts, each in a location of its own.
$w = Weir->new(files => { map { $_ => shipped($_) } qw(fastcgi_params fastcgi.conf scgi_params uwsgi_params) }, conf => <<'EOC');
events { }
http { server { listen 127.0.0.1:%%PORT_0%%;
    location /a { include fastcgi_params; fastcgi_pass 127.0.0.1:9; }
    location /b { include fastcgi.conf; fastcgi_pass 127.0.0.1:9; }
    location /c { include scgi_params; scgi_pass 127.0.0.1:9; }
    location /d { include uwsgi_params; uwsgi_pass 127.0.0.1:9; } } }
EOC
($code, $said) = $w->t_binary;
is($code, 0, 'parameters for scripts: -t') or diag $said;

my $quick = shipped('quickstart.conf');
my %port = (8080 => 0, 8081 => 1, 8082 => 2);
$quick =~ s/127\.0\.0\.1:(808[012])/"127.0.0.1:%%PORT_$port{$1}%%"/ge;
$w = Weir->new(conf => $quick)->start;
my %seen;
$seen{ $w->get('/hello')->body }++ for 1 .. 10;
is(join('', sort keys %seen), "hello from backend one: GET /hello for 127.0.0.1\nhello from backend two: GET /hello for 127.0.0.1\n", 'quickstart.conf: both backends answer');
ok($w->stop, 'stop');
done_testing;
