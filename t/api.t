# The API: paths, methods and words of NGINX Plus's, as JSON.
use lib 't/lib';
use Weir;
use JSON::PP;

my $b = Weir::Backend->new(sub { 'here' });
my $dead = '127.0.0.1:' . Weir::free_port();
my $conf = <<'EOC';
worker_processes 4;
events { }
http {
    keyval_zone zone=plain:512k state=%%TESTDIR%%/plain.json;
    keyval_zone zone=timed:512k timeout=1h;
    keyval_zone zone=ips:256k type=ip;
    keyval $arg_k $plain zone=plain;
    upstream two { zone two 64k; server %%B%% weight=3 max_conns=100; server %%DEAD%% backup fail_timeout=1500ms; }
    upstream sick { server %%DEAD%%; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /api { api write=on; }
        location /read/ { api; }
        location /two { proxy_pass http://two; }
        location /sick { proxy_pass http://sick; health_check interval=100ms; }
        location /deny { deny all; }
        location /get { return 200 "$plain"; }
    }
}
EOC
my $w = Weir->new(conf => $conf, vars => { B => $b->addr, DEAD => $dead })->start;
sub ask {
    my ($method, $uri, $body) = @_;
    my $c = $w->connect;
    $c->send("$method $uri HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" . (defined $body ? 'Content-Length: ' . length($body) . "\r\n" : '') . "\r\n" . ($body // ''));
    my $m = $c->response;
    return ($m->status, length $m->body ? JSON::PP->new->utf8->allow_nonref->decode($m->body) : undef, $m);
}
sub got { my ($status, $j) = ask('GET', "/api$_[0]"); return $j }
sub refused { my ($status, $code, $name, @how) = @_; my ($s, $j) = ask(@how); is("$s $j->{error}{status} $j->{error}{code}", "$status $status $code", $name) or diag explain $j; return $j }

is_deeply(got('/'), [1 .. 9], 'versions');
is_deeply(got(''), [1 .. 9], 'without the slash');
my %below = map { my $path = $_; ($path => { map { ($_ => 1) } @{ got("/9$path") } }) } '/', '/http';
ok(!grep({ !$below{'/'}{$_} } qw(connections http nginx processes resolvers slabs ssl)), 'what there is') or diag explain \%below;
ok(!grep({ !$below{'/http'}{$_} } qw(gates keyvals limit_conns limit_quotas limit_reqs location_zones requests server_zones upstreams)), 'below http') or diag explain \%below;
my ($status, $nginx, $m) = ask('GET', '/api/9/nginx');
is($m->header('Content-Type'), 'application/json', 'type');
is_deeply([sort keys %$nginx], [qw(address build generation load_timestamp pid ppid timestamp version)], 'nginx: its names');
like($nginx->{timestamp}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'a time');
is("$nginx->{address} $nginx->{generation} $nginx->{ppid}", '127.0.0.1 0 ' . $w->pid, 'address, generation, master');
is_deeply(got('/9/nginx?fields=pid,ppid')->{ppid}, $w->pid, 'some fields');
is(scalar(keys %{ got('/9/nginx?fields=version') }), 1, 'and no others');
my $c = got('/9/connections');
is_deeply([sort keys %$c], [qw(accepted active dropped idle)], 'connections');
cmp_ok($c->{accepted}, '>=', 6, 'counted');
my $before = got('/9/http/requests')->{total};
is(got('/9/http/requests')->{total}, $before + 1, 'requests');
is(got('/9/http/gates')->{access_denied}, 0, 'gates');
is($w->get('/deny')->status, 403, 'one refuses');
is(got('/9/http/gates')->{access_denied}, 1, 'which is counted');

# upstreams
is($w->get('/two')->body, 'here', 'a request') for 1 .. 3;
my $two = got('/9/http/upstreams/two');
is($two->{zone}, 'two', 'zone');
my $peer = $two->{peers}[0];
is_deeply([@$peer{qw(id server weight state active requests fails max_conns)}], [0, $b->addr, 3, 'up', 0, 3, 0, 100], 'a peer');
my %r = %{ $peer->{responses} };
is_deeply([@r{qw(1xx 2xx 3xx 4xx 5xx total)}], [0, 3, 0, 0, 0, 3], 'its answers');
ok($peer->{sent} > 50 && $peer->{received} > 100 && $peer->{selected} =~ /^20.*Z$/ && exists $peer->{response_time}, 'bytes and times') or diag explain $peer;
ok(!$peer->{backup} && $two->{peers}[1]{backup}, 'backup');
is_deeply(got('/9/http/upstreams/two/servers/1'), { id => 1, server => $dead, weight => 1, max_conns => 0, max_fails => 1, fail_timeout => '1500ms', slow_start => '0s', route => '', backup => JSON::PP::true, down => JSON::PP::false }, 'a server');
is(scalar(@{ got('/9/http/upstreams/two/servers/') }), 2, 'all servers');
is_deeply([sort @{ got('/9/http/upstreams?fields=') }], [qw(sick two)], 'their names alone');
is_deeply([map { join ',', sort keys %$_ } values %{ got('/9/http/upstreams?fields=zone') }], ['zone', 'zone'], 'one field of each');
ok(wait_for(sub { my $p = got('/9/http/upstreams/sick')->{peers}[0]; $p->{state} eq 'unhealthy' && $p->{health_checks}{fails} && !$p->{health_checks}{last_passed} }), 'what health checks found');
is((ask('DELETE', '/api/9/http/upstreams/two'))[0], 204, 'statistics begin anew');
is(got('/9/http/upstreams/two')->{peers}[0]{requests}, 0, 'they did');

# keyvals
is_deeply(got('/9/http/keyvals'), { plain => {}, timed => {}, ips => {} }, 'all zones');
($status, undef, $m) = ask('POST', '/api/9/http/keyvals/plain', '{"a": "one"}');
is($status, 201, 'added');
is(join(' ', map { $w->get('/get?k=a')->body } 1 .. 8), join(' ', ('one') x 8), 'for all workers');
is_deeply(got('/9/http/keyvals/plain'), { a => 'one' }, 'shown');
is((ask('PATCH', '/api/9/http/keyvals/plain', '{"a": "two\u00e9"}'))[0], 204, 'changed');
is_deeply(got('/9/http/keyvals/plain?key=a'), { a => "two\x{e9}" }, 'one key');
ok(wait_for(sub { Weir::slurp("$w->{dir}/plain.json") =~ /two/ }), 'written to its file');
is((ask('POST', '/api/9/http/keyvals/timed', '{"t": {"value": "x", "expire": 300}}'))[0], 201, 'with a time of its own');
ok(wait_for(sub { !%{ got('/9/http/keyvals/timed') } }), 'which ends');
is((ask('POST', '/api/9/http/keyvals/ips', '{"192.0.2.0/24": "net"}'))[0], 201, 'a network');
is((ask('PATCH', '/api/9/http/keyvals/plain', '{"a": null}'))[0], 204, 'null ends a key');
is_deeply(got('/9/http/keyvals/plain'), {}, 'it is gone');
ask('POST', '/api/9/http/keyvals/plain', "{\"k$_\": \"v\"}") for 1 .. 3;
is((ask('DELETE', '/api/9/http/keyvals/plain'))[0], 204, 'emptied');
is_deeply(got('/9/http/keyvals/plain'), {}, 'all are gone');
refused(400, 'KeyvalFormatError', 'several of which one is wrong', 'POST', '/api/9/http/keyvals/plain', '{"x": "1", "y": 2}');
is((ask('DELETE', '/api/9/http/keyvals/ips'))[0], 204, 'another is emptied');
refused(507, 'KeyvalFull', 'more than there is room for', 'POST', '/api/9/http/keyvals/ips', '{' . join(', ', map { sprintf '"10.%d.%d.0/24": "%s"', $_ / 200, $_ % 200, 'x' x 10 } 0 .. 1900) . '}');
is_deeply(got('/9/http/keyvals/ips'), {}, 'nothing of them stays');
is((ask('POST', '/api/9/http/keyvals/plain', '{"x": "1", "y": "2", "z": "3"}'))[0], 201, 'several keys, where there is none');
is_deeply(got('/9/http/keyvals/plain'), { x => 1, y => 2, z => 3 }, 'are there');
refused(400, 'KeyvalFormatError', 'several where there are some', 'POST', '/api/9/http/keyvals/plain', '{"v": "1", "w": "2"}');
refused(400, 'KeyvalFormatError', 'several to be changed', 'PATCH', '/api/9/http/keyvals/plain', '{"x": "4", "y": "5"}');
is_deeply(got('/9/http/keyvals/plain'), { x => 1, y => 2, z => 3 }, 'which changes nothing');
is((ask('DELETE', '/api/9/http/keyvals/plain'))[0], 204, 'emptied again');
ask('POST', '/api/9/http/keyvals/plain', '{"a": "one"}');

# what is refused
my $j = refused(404, 'PathNotFound', 'no such path', 'GET', '/api/9/none');
ok($j->{request_id} =~ /^[0-9a-f]{32}$/ && $j->{href} && $j->{error}{text} eq 'path not found', 'the words of an error');
refused(@$_) for
    [404, 'UnknownVersion', 'no such version', 'GET', '/api/10/nginx'], [404, 'UnknownVersion', 'no number', 'GET', '/api/x'],
    [404, 'PathNotFound', 'too deep', 'GET', '/api/9/http/requests/1'], [404, 'PathNotFound', 'far too deep', 'GET', '/api/9/http/keyvals/1/2/3/4/5/6'],
    [404, 'UpstreamNotFound', 'no such group', 'GET', '/api/9/http/upstreams/three'], [404, 'PathNotFound', 'no such thing of it', 'GET', '/api/9/http/upstreams/two/x'],
    [404, 'UpstreamServerNotFound', 'no such server', 'GET', '/api/9/http/upstreams/two/servers/2'], [400, 'UpstreamBadServerId', 'no id', 'GET', '/api/9/http/upstreams/two/servers/x'],
    [405, 'MethodDisabled', 'not to be written', 'POST', '/read/9/http/keyvals/plain', '{"b": "c"}'], [405, 'MethodDisabled', 'no such method of it', 'DELETE', '/api/9/nginx'],
    [405, 'MethodDisabled', 'no such method', 'PUT', '/api/9/nginx'], [405, 'MethodDisabled', 'the root', 'DELETE', '/api/'],
    [404, 'KeyvalNotFound', 'no such zone', 'GET', '/api/9/http/keyvals/none'], [404, 'KeyvalKeyNotFound', 'no such key', 'GET', '/api/9/http/keyvals/plain?key=z'],
    [404, 'KeyvalKeyNotFound', 'no such key to change', 'PATCH', '/api/9/http/keyvals/plain', '{"z": "1"}'], [409, 'KeyvalKeyExists', 'it is there', 'POST', '/api/9/http/keyvals/plain', '{"a": "1"}'],
    [400, 'KeyvalFormatError', 'two keys', 'POST', '/api/9/http/keyvals/plain', '{"x": "1", "y": "2"}'], [400, 'KeyvalFormatError', 'no key', 'POST', '/api/9/http/keyvals/plain', '{}'],
    [400, 'KeyvalFormatError', 'a number', 'POST', '/api/9/http/keyvals/plain', '{"x": 1}'], [400, 'KeyvalFormatError', 'no timeout', 'POST', '/api/9/http/keyvals/plain', '{"x": {"value": "1", "expire": 5}}'],
    [400, 'KeyvalFormatError', 'no network', 'POST', '/api/9/http/keyvals/ips', '{"x": "1"}'],
    [415, 'JsonError', 'no JSON', 'POST', '/api/9/http/keyvals/plain', '{"x": "1"'], [415, 'JsonError', 'two of a name', 'POST', '/api/9/http/keyvals/plain', '{"x": "1", "x": "2"}'],
    [415, 'JsonError', 'a list', 'POST', '/api/9/http/keyvals/plain', '["x"]'], [415, 'JsonError', 'nothing', 'POST', '/api/9/http/keyvals/plain', ''],
    [413, 'RequestEntityTooLarge', 'too much', 'POST', '/api/9/http/keyvals/plain', '{"x": "' . 'y' x 70000 . '"}'];
is((ask('POST', '/api/9/http/keyvals/plain', '{"long": "' . 'y' x 30000 . '"}'))[0], 201, 'a body that waits in a file');
is(length got('/9/http/keyvals/plain?key=long')->{long}, 30000, 'is whole');
$w->reload;
is(got('/9/nginx')->{generation}, 1, 'another generation');

for (['location / { api on; }', qr/invalid parameter "on"/], ['location ~ /a { api; }', qr/"api" cannot stand in a location given by regular expression/], ['location / { api; api; }', qr/is duplicate/]) {
    my ($code, $out) = Weir->new(conf => "events { } http { server { $_->[0] } }")->t_binary('-t');
    ok($code != 0 && $out =~ $_->[1], "refused: $_->[0]") or diag $out;
}
done_testing;
