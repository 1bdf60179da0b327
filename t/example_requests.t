# conf/examples: cors.conf, login_page.conf, api_keys_map.conf, header_fields.conf and query_edit.conf do what they say.
use lib 't/lib';
use Weir;

sub example {
    my ($name, %at) = @_;
    my $conf = Weir::slurp("$Weir::top/conf/examples/$name.conf");
    $conf =~ s/listen 8080/listen 127.0.0.1:%%PORT_0%%/ or die;
    for my $port (keys %at) { $conf =~ s/127\.0\.0\.1:$port\b/$at{$port}->addr/ge or die $port }
    return Weir->new(conf => $conf)->start;
}
sub fields { my ($m, @names) = @_; return join ' | ', map { join ',', $m->header($_) } @names }

# ---- CORS

my $api = Weir::Backend->new(sub { my $req = shift; return [$req->uri =~ /broken/ ? 500 : 200, ['Access-Control-Allow-Origin' => '*', 'X-Request-Id' => 7], $req->method] });
my $w = example('cors', 9000 => $api);
my @cors = map { "Access-Control-$_" } qw(Allow-Origin Allow-Credentials Expose-Headers);
my @preflight = map { "Access-Control-$_" } qw(Allow-Methods Allow-Headers Max-Age);
my $m = $w->get('/api/x', headers => [Origin => 'https://app.example.com']);
is($m->body, 'GET', 'CORS: the backend answers');
is(fields($m, @cors, 'Vary'), 'https://app.example.com | true | X-Request-Id | Origin', 'and the page may read it');
is(fields($w->get('/api/x', headers => [Origin => 'https://branch-7.preview.example.com']), $cors[0]), 'https://branch-7.preview.example.com', 'an origin by pattern');
for my $origin ('https://evil.net', 'https://app.example.com.evil.net', 'https://x.preview.example.com.evil.net', 'http://app.example.com', 'null', undef) {
    $m = $w->get('/api/x', headers => [defined $origin ? (Origin => $origin) : ()]);
    is($m->status . fields($m, @cors), '200 |  | ', 'not for ' . ($origin // 'no origin'));
    is($m->header('Vary'), 'Origin', 'which caches are told');
}
is(fields($w->get('/api/broken', headers => [Origin => 'https://app.example.com']), $cors[0]), 'https://app.example.com', 'an error may be read too');
my $before = $api->requests;
$m = $w->get('/api/x', method => 'OPTIONS', headers => [Origin => 'https://app.example.com', 'Access-Control-Request-Method' => 'PUT']);
is($m->status . ' ' . fields($m, @cors[0, 1], @preflight), '204 https://app.example.com | true | GET, POST, PUT, DELETE | Authorization, Content-Type, X-Request-Id | 7200', 'a preflight');
$m = $w->get('/api/x', method => 'OPTIONS', headers => [Origin => 'https://evil.net', 'Access-Control-Request-Method' => 'PUT']);
is($m->status . ' ' . fields($m, @cors[0, 1], @preflight), '204  |  |  |  | ', 'of another origin');
is($api->requests, $before, 'the backend saw none');
is($w->get('/api/x', method => 'OPTIONS')->body, 'OPTIONS', 'any other OPTIONS request is its own');

# ---- a login page

my $app = Weir::Backend->new(sub { my $req = shift; return 'for ' . ($req->header('X-User') // 'nobody') });
my $login = Weir::Backend->new(sub {
    my $req = shift;
    return 'please log in' if $req->uri =~ m{^/login};
    my ($who) = ($req->header('Cookie') // '') =~ /session=(\w+)/;
    return [!$who ? 401 : $who eq 'banned' ? 403 : 204, $who ? ['X-User' => $who] : [], ''];
});
$w = example('login_page', 9000 => $app, 9001 => $login);
my @page = (Accept => 'text/html,application/xhtml+xml,*/*;q=0.8');
$m = $w->get('/orders?id=1&all', headers => [@page]);
is($m->status . ' ' . fields($m, 'Location', 'Cache-Control'), '302 http://localhost:' . $w->port . '/login?next=/orders?id=1&all | no-store', 'login: a page without a session is sent there');
is($w->get('/login?next=/orders', headers => [@page])->body, 'please log in', 'which is open to all');
is($w->get('/orders', headers => [Cookie => 'session=alice', 'X-User' => 'admin', @page])->body, 'for alice', 'with a session it is served, and nobody may say who he is');
is($w->get('/orders', headers => [Cookie => 'session=banned', @page])->status, 403, 'who may not is not sent around');
$m = $w->get('/orders', headers => [Accept => 'application/json']);
is($m->status . ' ' . fields($m, 'Location'), '401 ', 'a program is told 401');
is($w->get('/session')->status, 404, 'the service itself is not for clients');

# ---- API keys by map

my $who = Weir::Backend->new(sub { my $req = shift; return join '|', map { $req->header($_) // '' } qw(X-User X-API-Key) });
my $conf = Weir::slurp("$Weir::top/conf/examples/api_keys_map.conf");
$w = example('api_keys_map', 9000 => $who);
sub ask { my ($key, $method) = @_; return $w->get('/api/x', method => $method // 'GET', headers => [defined $key ? ('X-API-Key' => $key) : ()]) }
is(ask()->status . ask('')->status . ask('key-of-eve')->status . ask('KEY-OF-EVE')->status, '401401401401', 'API keys: without one, or with a wrong one');
is(ask('key-of-alice-7f3a')->body . ask('key-of-bob-91c2')->body, 'alice|bob|', 'users, whose keys the backend does not see');
is(ask('key-of-alice-7f3a', 'DELETE')->status . ask('key-of-bob-91c2', 'DELETE')->status, '200403', 'some may write');
my $log = join "\n", $w->wait_access(8, 'logs/access.log');
like($log, qr/ alice \[.*"DELETE/, 'the log knows the user');
unlike($log, qr/key-of/, 'and no key');

# ---- header fields

my $seen = Weir::Backend->new(sub {
    my $req = shift;
    my @out = ('X-Powered-By' => 'old', 'X-Runtime' => '0.25', $req->uri =~ /cached/ ? ('Cache-Control' => 'max-age=5') : ());
    return [$req->uri =~ /broken/ ? 500 : 200, \@out, join ' | ', map { my $v = $req->header($_); "$_ " . ($v // '-') } qw(X-Edge X-Request-Id X-Debug X-Client-Lang Accept-Language)];
});
$w = example('header_fields', 9000 => $seen);
$m = $w->get('/', headers => ['X-Request-Id' => 'mine', 'X-Debug' => 1, 'Accept-Language' => 'de', 'X-Edge' => 'two']);
is($m->body, 'X-Edge one | X-Request-Id mine | X-Debug - | X-Client-Lang de | Accept-Language -', 'header fields, in');
like($w->get('/')->body, qr/^X-Edge one \| X-Request-Id [0-9a-f]{32} \| X-Debug - \| X-Client-Lang - \| Accept-Language -$/, 'made where there was none');
my @out = qw(X-Served-By X-Powered-By X-Runtime X-Took Cache-Control);
is(fields($m, @out), 'edge |  |  | 0.25 | no-store', 'out');
is(fields($w->get('/cached'), @out), 'edge |  |  | 0.25 | max-age=5', 'kept where it was');
is(fields($w->get('/broken'), @out), 'edge |  |  | 0.25 | no-store', 'with errors too');

# ---- the query

my $uri = Weir::Backend->new(sub { return $_[0]->uri });
$w = example('query_edit', 9000 => $uri);
for (['', 'limit=20&from=edge'], ['?a=1', 'a=1&limit=20&from=edge'], ['?limit=5', 'limit=5&from=edge'], ['?q=x%20y&limit=5', 'query=x%20y&limit=5&from=edge'], ['?a=1&q=x', 'a=1&query=x&limit=20&from=edge'], ['?faq=x', 'faq=x&limit=20&from=edge'],
    ['?debug=1', 'limit=20&from=edge'], ['?debug', 'limit=20&from=edge'], ['?a=1&debug=1', 'a=1&limit=20&from=edge'], ['?debug=1&b=2', 'b=2&limit=20&from=edge'], ['?a=1&debug=x&b=2', 'a=1&b=2&limit=20&from=edge'],
    ['?a=1&debugger=1', 'a=1&debugger=1&limit=20&from=edge'], ['?from=me', 'from=me&limit=20&from=edge']) {
    my ($in, $out) = @$_;
    is($w->get("/search$in")->body, "/search?$out", "query: /search$in");
}
is($w->get('/item?lang=de&id=7&x=1')->body, '/item?id=7&lang=de', 'written anew');
done_testing;
