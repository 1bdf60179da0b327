# conf/examples/address_lists.conf does what it says.
use lib 't/lib';
use Weir;

my $conf = Weir::slurp("$Weir::top/conf/examples/address_lists.conf");
$conf =~ s/127\.0\.0\.1:8080;/127.0.0.1:%%PORT_0%%; set_real_ip_from 127.0.0.1;/ or die;
$conf =~ s/rate=10r\/s/rate=1r\/m/ or die;      # so that no time passes between requests
my $w = Weir->new(conf => $conf, files => { 'blocked.list' => "# ours\n192.0.2.0/24 ; theirs\n", 'offices.list' => "203.0.113.0/28\n", 'partners.list' => "198.51.100.7\n", 'html/admin/index.html' => 'admin', 'html/index.html' => 'page' })->start;
sub get { my ($uri, $ip) = @_; return $w->get($uri, headers => ['X-Real-IP' => $ip]) }
is(get('/', '192.0.2.5')->status, 403, 'on the blocklist');
is(get('/', '198.51.100.7')->header('X-Partner'), 1, 'a partner');
is(get('/', '9.9.9.9')->header('X-Partner'), 0, 'anybody');
is(scalar(grep { get('/', '198.51.100.7')->status == 200 } 1 .. 40), 40, 'partners are not counted');
cmp_ok(scalar(grep { get('/', '9.9.9.8')->status == 503 } 1 .. 200), '>', 0, 'others are');
is(get('/admin/', '203.0.113.3')->body, 'admin', 'an office');
is(get('/admin/', '198.51.100.7')->status, 403, 'nobody else');
$w->write_file('blocked.list.new', "9.9.9.9\n9.9.9.11\n");
rename "$w->{dir}/blocked.list.new", "$w->{dir}/blocked.list" or die $!;
ok($w->wait_error(qr/2 addresses and networks were read from/), 'another list');
is(get('/', '9.9.9.9')->status . get('/admin/', '9.9.9.9')->status . get('/', '192.0.2.5')->status, '403403200', 'everywhere');
done_testing;
