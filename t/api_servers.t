# Servers added, changed and removed by the API: seen by all workers at once, kept in a state file.
use lib 't/lib';
use Weir;
use JSON::PP;
use Weir::Dns;

my ($x, $y, $z) = map { my $name = $_; Weir::Backend->new(sub { $name }) } qw(x y z);
my $conf = <<'EOC';
worker_processes 4;
events { }
http {
    resolver %%DNS%% ipv6=off;
    upstream app { server %%X%%; }
    upstream named { state %%TESTDIR%%/named.conf; zone named 64k; }
    upstream kept { state %%TESTDIR%%/kept.conf; }
    upstream must { server %%X%%; }
    upstream hash { hash $uri; server %%X%%; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /api { api write=on; }
        location /named { proxy_pass http://named; }
        location /app { proxy_pass http://app; }
        location /kept { proxy_pass http://kept; }
        location /must { proxy_pass http://must; health_check interval=200ms mandatory; }
    }
}
EOC
my $dns = Weir::Dns->new('x.test A 1 127.0.0.1', '_http._tcp.y.test SRV 1 0 5 ' . $y->port . ' y.test', 'y.test A 1 127.0.0.1');
my %vars = (X => $x->addr, DNS => $dns->addr);
my $w = Weir->new(conf => $conf, vars => \%vars)->start;
sub ask {
    my ($method, $path, $body) = @_;
    $body = encode_json($body) if ref $body;
    $body //= '';
    my $m = $w->raw("$method /api/9/http/upstreams/$path HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
    return ($m->status, length $m->body ? decode_json($m->body) : undef, $m);
}
sub refused { my ($status, $code, @how) = @_; my ($s, $j) = ask(@how); is("$s " . ($j->{error}{code} // ''), "$status $code", "$code: $how[2]") or diag explain $j }
sub served { my ($uri, $n) = @_; my %by; $by{ $w->get($uri)->body }++ for 1 .. $n // 24; return join ' ', map { length > 9 ? 'error' : $_ } sort keys %by }

# add
is(served('/app'), 'x', 'at first');
my ($status, $j, $m) = ask('POST', 'app/servers', { server => $y->addr, weight => 2, max_conns => 50, fail_timeout => '5s', route => 'r1' });
is($status, 201, 'added');
is($m->header('Location'), "/api/9/http/upstreams/app/servers/$j->{id}", 'where it is');
my $false = JSON::PP::false;
is_deeply($j, { id => 1, server => $y->addr, weight => 2, max_conns => 50, max_fails => 1, fail_timeout => '5s', slow_start => '0s', route => 'r1', backup => $false, down => $false }, 'what it is');
is(served('/app'), 'x y', 'all workers use it');
is((ask('GET', 'app/servers/1'))[1]{max_conns}, 50, 'shown');
my ($peer) = grep { $_->{id} == 1 } @{ (ask('GET', 'app'))[1]{peers} };
is("$peer->{server} $peer->{weight} $peer->{state}", $y->addr . ' 2 up', 'as a peer');

# change
($status, $j) = ask('PATCH', 'app/servers/1', { down => JSON::PP::true, max_fails => 7 });
is("$status $j->{max_fails} $j->{weight} " . ($j->{down} ? 'down' : 'up'), '200 7 2 down', 'changed');
is(served('/app'), 'x', 'no worker uses it');
is((ask('PATCH', 'app/servers/1', { down => $false }))[0], 200, 'changed back');
is(served('/app'), 'x y', 'used again');
is((ask('PATCH', 'app/servers/1', { drain => JSON::PP::true }))[1]{drain}, JSON::PP::true, 'draining');
is(served('/app'), 'x', 'it gets no new requests');
is((grep { $_->{id} == 1 } @{ (ask('GET', 'app'))[1]{peers} })[0]{state}, 'draining', 'and says so');
ask('PATCH', 'app/servers/1', { drain => $false });
my %share;
ask('PATCH', 'app/servers/1', { weight => 3 });
$share{ $w->get('/app')->body }++ for 1 .. 80;
is("$share{x} $share{y}", '20 60', 'weights are shared');

# remove
($status, $j) = ask('DELETE', 'app/servers/0');
is("$status " . join(',', map { $_->{id} } @$j), '200 1', 'removed: those that are left');
is(served('/app'), 'y', 'the other one');
($status, $j) = ask('POST', 'app/servers', { server => $z->addr, backup => JSON::PP::true });
is($j->{id}, 2, 'a new id');
is(served('/app'), 'y', 'a backup waits');
ask('DELETE', 'app/servers/1');
is(served('/app'), 'z', 'and serves');
$w->reload;
is(served('/app'), 'x', 'without a state file a reload brings back what the configuration says');

# what is refused
refused(@$_) for
    [400, 'UpstreamConfFormatError', 'POST', 'app/servers', '{"weight": 1}'], [400, 'UpstreamConfFormatError', 'POST', 'app/servers', '{"server": "127.0.0.1:1", "colour": 1}'],
    [400, 'UpstreamConfFormatError', 'POST', 'app/servers', '{"server": "127.0.0.1:1", "down": 1}'], [400, 'UpstreamConfFormatError', 'POST', 'app/servers', '{"server": ["127.0.0.1:1"]}'],
    [400, 'UpstreamBadWeight', 'POST', 'app/servers', '{"server": "127.0.0.1:1", "weight": 0}'], [400, 'UpstreamBadMaxConns', 'POST', 'app/servers', '{"server": "127.0.0.1:1", "max_conns": -1}'],
    [400, 'UpstreamBadMaxFails', 'POST', 'app/servers', '{"server": "127.0.0.1:1", "max_fails": "1"}'], [400, 'UpstreamBadFailTimeout', 'POST', 'app/servers', '{"server": "127.0.0.1:1", "fail_timeout": "x"}'],
    [400, 'UpstreamBadSlowStart', 'POST', 'app/servers', '{"server": "127.0.0.1:1", "slow_start": 1}'], [400, 'UpstreamBadRoute', 'POST', 'app/servers', '{"server": "127.0.0.1:1", "route": "' . 'r' x 33 . '"}'],
    [400, 'UpstreamBadRoute', 'POST', 'app/servers', '{"server": "127.0.0.1:1", "route": "a; down"}'], [400, 'UpstreamBadAddress', 'POST', 'app/servers', '{"server": ""}'],
    [400, 'UpstreamBadAddress', 'POST', 'app/servers', '{"server": "unix:/a\n;"}'], [400, 'UpstreamBadAddress', 'POST', 'app/servers', '{"server": "www..example"}'],
    [400, 'UpstreamBadAddress', 'POST', 'app/servers', '{"server": "127.0.0.1:1", "service": "http"}'], [400, 'UpstreamBadAddress', 'POST', 'app/servers', '{"server": "a.test:80", "service": "http"}'], [400, 'UpstreamConfFormatError', 'PATCH', 'app/servers/0', '{"service": "http"}'],
    [400, 'UpstreamNoBackup', 'POST', 'hash/servers', '{"server": "127.0.0.1:1", "backup": true}'], [400, 'UpstreamServerImmutable', 'PATCH', 'app/servers/0', '{"server": "127.0.0.1:1"}'],
    [404, 'UpstreamServerNotFound', 'PATCH', 'app/servers/9', '{"weight": 1}'], [404, 'UpstreamServerNotFound', 'DELETE', 'app/servers/9', ''],
    [405, 'MethodDisabled', 'POST', 'app/servers/0', '{"weight": 1}'], [405, 'MethodDisabled', 'DELETE', 'app/servers', ''];

# a state file
is(served('/kept', 4), 'error', 'nobody is there yet');
is((ask('POST', 'kept/servers', { server => $x->addr, weight => 5, slow_start => '1500ms', max_fails => 0 }))[0], 201, 'one comes');
is((ask('POST', 'kept/servers', { server => $y->addr, down => JSON::PP::true, route => 'b' }))[0], 201, 'and another');
is(served('/kept'), 'x', 'used');
is(Weir::slurp("$w->{dir}/kept.conf"), 'server ' . $x->addr . " weight=5 max_fails=0 slow_start=1500ms;\nserver " . $y->addr . " route=b down;\n", 'written at once');
$w->reload;
is(served('/kept'), 'x', 'after a reload');
is_deeply([map { "$_->{server} $_->{weight} $_->{slow_start} $_->{route}" } @{ (ask('GET', 'kept/servers'))[1] }], [$x->addr . ' 5 1500ms ', $y->addr . ' 1 0s b'], 'what it was');
$w->stop;
$w->start;
is(served('/kept'), 'x', 'after a restart');
is((ask('PATCH', 'kept/servers/1', { down => $false }))[0], 200, 'up');
is(served('/kept'), 'x y', 'both');

# names, looked up while it serves
my $xname = 'x.test:' . $x->port;
($status, $j) = ask('POST', 'named/servers', { server => $xname, max_fails => 3 });
is("$status $j->{server} $j->{host} $j->{max_fails}", "201 $xname $xname 3", 'a name comes');
ok(wait_for(sub { served('/named', 8) eq 'x' }, 20), 'and is found');
my @found = grep { defined $_->{parent} } @{ (ask('GET', 'named/servers'))[1] };
is_deeply([map { "$_->{server} $_->{parent} $_->{max_fails}" } @found], [$x->addr . " $j->{id} 3"], 'its address is a server of the same parameters');
is((ask('DELETE', "named/servers/$found[0]{id}"))[1]{error}{code}, 'UpstreamServerImmutable', 'which goes with its name alone');
($status, my $srv) = ask('POST', 'named/servers', { server => 'y.test', service => 'http' });
is("$status $srv->{service}", '201 http', 'a service');
ok(wait_for(sub { served('/named', 8) eq 'x y' }, 20), 'is found too');
is((ask('POST', 'named/servers', { server => 'none.test' }))[0], 201, 'one that is not there');
ok($w->wait_error(qr/upstream "named": none\.test could not be resolved/), 'is looked for');
is(Weir::slurp("$w->{dir}/named.conf"), "server $xname resolve max_fails=3;\nserver y.test resolve service=http;\nserver none.test resolve;\n", 'names are kept, not addresses');
$w->reload;
ok(wait_for(sub { served('/named', 8) eq 'x y' }, 20), 'after a reload');
$dns->zone('x.test A 1 127.0.0.1', 'none.test A 1 127.0.0.1', '_http._tcp.y.test SRV 1 0 5 ' . $z->port . ' z.test', 'z.test A 1 127.0.0.1');
ok(wait_for(sub { served('/named', 8) =~ /z/ }, 30), 'what changes is followed');
my ($none) = grep { $_->{server} =~ /none/ } @{ (ask('GET', 'named/servers'))[1] };
is((ask('DELETE', "named/servers/$none->{id}"))[0], 200, 'a name goes');
my ($xid) = grep { $_->{server} eq $xname } @{ (ask('GET', 'named/servers'))[1] };
($status, $j) = ask('DELETE', "named/servers/$xid->{id}");
is("$status " . join(' ', map { $_->{host} // $_->{server} } @$j), '200 y.test ' . $z->addr, 'and its addresses with it');
is(served('/named'), 'z', 'no worker asks it');
($status, $j) = ask('POST', 'named/servers', { server => $xname, weight => 2 });
ok(wait_for(sub { served('/named', 8) eq 'x z' }, 20), 'it comes again');
ask('DELETE', "named/servers/$j->{id}");
my $asked = 0;
ok(wait_for(sub { my $n = grep { /x\.test/ } $dns->asked; my $same = $n == $asked; $asked = $n; select undef, undef, undef, 2; $same }, 30), 'nobody looks for it any more');
$w->stop;
$w->start;
ok(wait_for(sub { served('/named', 8) eq 'z' }, 20), 'after a restart');

# health checks follow
ok(wait_for(sub { served('/must', 1) eq 'x' }), 'checked first');
my $dead = '127.0.0.1:' . Weir::free_port();
is((ask('POST', 'must/servers', { server => $dead }))[0], 201, 'a dead one comes');
ok(!grep({ $_ ne 'x' } map { $w->get('/must')->body } 1 .. 20), 'it is not asked before it was checked');
ok(wait_for(sub { my ($p) = grep { $_->{server} eq $dead } @{ (ask('GET', 'must'))[1]{peers} }; $p->{state} eq 'unhealthy' }), 'and found dead');
is((ask('POST', 'must/servers', { server => $z->addr }))[0], 201, 'a good one comes');
ok(wait_for(sub { served('/must', 8) eq 'x z' }), 'it is checked, and used');
my @gone = grep { $_->{server} eq $dead } @{ (ask('GET', 'must'))[1]{peers} };
is((ask('DELETE', "must/servers/$gone[0]{id}"))[0], 200, 'the dead one goes');
my $checks = () = $w->error_log =~ /health check of peer \Q$dead\E/g;
my ($p) = @{ (ask('GET', 'must'))[1]{peers} };
ok(wait_for(sub { (ask('GET', 'must'))[1]{peers}[0]{health_checks}{checks} > $p->{health_checks}{checks} + 3 }), 'others are checked on');
cmp_ok(scalar(() = $w->error_log =~ /health check of peer \Q$dead\E/g), '<=', $checks + 2, 'it is not');

for (['state a.conf; server 127.0.0.1:1;', qr/may be no "server" beside it/], ['server 127.0.0.1:1; state a.conf;', qr/may be no "server" beside it/], ['state bad.conf;', qr/invalid parameter "colour=1"/]) {
    my ($code, $out) = Weir->new(conf => "events { } http { upstream u { $_->[0] } }", files => { 'bad.conf' => "server 127.0.0.1:1 colour=1;\n" })->t_binary('-t');
    ok($code != 0 && $out =~ $_->[1], "refused: $_->[0]") or diag $out;
}
done_testing;
