# conf/examples/api_keys.conf does what it says.
use lib 't/lib';
use Weir;

my $b = Weir::Backend->new(sub { my $req = shift; return join '|', map { $req->header($_) // '' } qw(X-User X-API-Key) });
my $conf = Weir::slurp("$Weir::top/conf/examples/api_keys.conf");
$conf =~ s/listen 8080/listen 127.0.0.1:%%PORT_0%%/ or die;
$conf =~ s/127\.0\.0\.1:9000/$b->addr/e or die;
my $w = Weir->new(conf => $conf, files => { 'api_keys.json' => '{ "key-of-alice": "alice", "key-of-bob": { "value": "bob", "expire": 4102444800000 } }', 'banned.json' => '{ "192.0.2.0/24": "abuse" }' })->start;
sub ask { my ($key) = @_; return $w->get('/api/x', headers => [defined $key ? ('X-API-Key' => $key) : ()]) }
is(ask()->status . ask('key-of-eve')->status, '401401', 'without a key, or with a wrong one');
is(ask('key-of-alice')->body, 'alice|', 'a user, whose key the backend does not see');
is(ask('key-of-bob')->body, 'bob|', 'another');
is(join(' ', map { ask('key-of-alice')->status } 1 .. 3), '200 200 429', 'the limit of a user');
is(ask('key-of-bob')->status, 200, 'is not another\'s');
$w->write_file('banned.json', '{ "127.0.0.0/8": "abuse" }');
ok(wait_for(sub { ask('key-of-bob')->status == 403 }), 'banned without a reload');
$w->write_file('banned.json', '{ }');
$w->write_file('api_keys.json', '{ "key-of-bob": "bob" }');
ok(wait_for(sub { ask('key-of-alice')->status == 401 }), 'a key that was taken back');
done_testing;
