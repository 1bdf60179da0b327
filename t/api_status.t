# The API's figures of the server itself: processes, shared memory, TLS, resolvers; and what DELETE forgets.
use lib 't/lib';
use Weir;
use Weir::Dns;
use Weir::Pem;
use JSON::PP;

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('server', by => 'ca', names => ['a.test'])->issue('client', by => 'ca');

my $dns = Weir::Dns->new('app.test A 60 127.0.0.1');
my $conf = <<'EOC';
worker_processes 2;
events { }
http {
    ssl_certificate %%PEM%%/server.pem; ssl_certificate_key %%PEM%%/server.key;
    resolver %%DNS%% ipv6=off status_zone=dns;
    keyval_zone zone=one:1m;
    keyval $arg_k $one zone=one;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /api { api write=on; }
        location /read { api; }
        location /to/ { proxy_pass http://$arg_host:%%PORT_3%%; }
        location /up { proxy_ssl_verify on; proxy_ssl_trusted_certificate %%PEM%%/ca.pem; proxy_ssl_name b.test; proxy_pass https://127.0.0.1:%%PORT_1%%; }
        location / { return 200 $one; }
    }
    server { listen 127.0.0.1:%%PORT_1%% ssl; ssl_protocols TLSv1.2; ssl_verify_client optional; ssl_client_certificate %%PEM%%/ca.pem; ssl_session_cache shared:s:1m; return 200 secure; }
    server { listen 127.0.0.1:%%PORT_2%% ssl; ssl_verify_client on; ssl_client_certificate %%PEM%%/ca.pem; return 200 must; }
    server { listen 127.0.0.1:%%PORT_3%%; return 200 here; }
    server { listen 127.0.0.1:%%PORT_4%%; forward_proxy on; forward_proxy_address allow loopback; forward_proxy_ports %%PORT_3%%; forward_proxy_access allow all; }
}
EOC
my $w = Weir->new(conf => $conf, vars => { PEM => $pem->{dir}, DNS => $dns->addr })->start;
sub ask {
    my ($method, $uri, $body) = @_;
    my $m = $w->raw("$method $uri HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" . (defined $body ? 'Content-Length: ' . length($body) . "\r\n" : '') . "\r\n" . ($body // ''));
    return ($m->status, length $m->body ? JSON::PP->new->utf8->allow_nonref->decode($m->body) : undef);
}
sub got { my ($status, $j) = ask('GET', "/api/9/$_[0]"); return $j }
sub forgotten { is((ask('DELETE', "/api/9/$_[0]"))[0], 204, "$_[0] forgotten") }
sub refused { my ($status, $code, @how) = @_; my ($s, $j) = ask(@how); is("$s $j->{error}{code}", "$status $code", "@how[0, 1]: $code") or diag explain $j }


# ---- processes
is_deeply(got('processes'), { respawned => 0 }, 'no process was started again');
my ($victim) = $w->workers;
kill KILL => $victim;
$w->expect_log(qr/exited on signal 9/);
ok(wait_for(sub { my @now = $w->workers; @now == 2 && !grep { $_ == $victim } @now }), 'a worker is killed');
ok(wait_for(sub { eval { got('processes')->{respawned} == 1 } }), 'and counted');
$w->reload;
is(got('processes')->{respawned}, 1, 'a reload is none');
forgotten('processes');
is(got('processes')->{respawned}, 0, 'from the beginning again');

# ---- shared memory
my $slab = got('slabs')->{'keyval one'};
is(join(' ', sort keys %$slab), 'pages slots', 'a zone');
is_deeply([sort keys %{ got('slabs/keyval%20one') }], ['pages', 'slots'], 'by its whole name');
is(join(' ', sort { $a <=> $b } keys %{ $slab->{slots} }), '16 32 48 64 96 128 192 256 384 512 768 1024 1360 2048', 'its sizes');
sub sum { my ($what) = @_; my $n = 0; $n += $_->{$what} for values %{ got('slabs/one')->{slots} }; return $n }
my ($used, $reqs) = (sum('used'), sum('reqs'));
ask('POST', '/api/9/http/keyvals/one', encode_json({ "k$_" => 'v' x 40 })) for 1 .. 20;
cmp_ok(sum('used') - $used, '>=', 20, 'slots in use');
cmp_ok(sum('reqs') - $reqs, '>=', 20, 'allocations');
is(sum('fails'), 0, 'none failed');
my $pages = got('slabs/one')->{pages};
is_deeply([$pages->{used} > 0, $pages->{used} + $pages->{free} > 200], [1, 1], 'pages');
forgotten('slabs/one');
is(sum('reqs'), 0, 'allocations from the beginning again');
cmp_ok(sum('used') - $used, '>=', 20, 'what is in use stays so');
is_deeply([keys %{ got('slabs/one?fields=pages') }], ['pages'], 'a field of one');

# ---- TLS
my %none = (handshakes => 0, session_reuses => 0, handshakes_failed => 0, no_common_protocol => 0, no_common_cipher => 0, handshake_timeout => 0, peer_rejected_cert => 0,
    verify_failures => { no_cert => 0, expired_cert => 0, revoked_cert => 0, hostname_mismatch => 0, other => 0 });
is_deeply(got('ssl'), \%none, 'no handshakes yet');
is($w->get('/', port => $w->port(1), ssl => {})->body, 'secure', 'one');
is(got('ssl')->{handshakes}, 1, 'is counted');
is(system("openssl s_client -connect 127.0.0.1:" . $w->port(1) . " -tls1_3 </dev/null >/dev/null 2>&1") ? 1 : 0, 1, 'a version that is not spoken');
is(got('ssl')->{no_common_protocol}, 1, 'counted');
is(system("openssl s_client -connect 127.0.0.1:" . $w->port(1) . " -tls1_2 -verify_return_error </dev/null >/dev/null 2>&1") ? 1 : 0, 1, 'a client that trusts nobody');
ok(wait_for(sub { got('ssl')->{peer_rejected_cert} == 1 }), 'counted');
is(got('ssl')->{handshakes_failed}, 2, 'both have failed');
is($w->get('/', port => $w->port(2), ssl => {})->status, 400, 'no certificate');
is(got('ssl')->{verify_failures}{no_cert}, 1, 'counted');
is($w->get('/up')->status, 502, 'a server of another name');
is(got('ssl')->{verify_failures}{hostname_mismatch}, 1, 'counted');
forgotten('ssl');
is_deeply(got('ssl'), \%none, 'from the beginning again');

# ---- resolvers
is_deeply(got('resolvers/dns'), { requests => { name => 0, srv => 0, addr => 0 }, responses => { map { ($_ => 0) } qw(noerror formerr servfail nxdomain notimp refused timedout unknown) } }, 'nothing was asked yet');
is($w->get('/to/?host=app.test')->body, 'here', 'a name');
my $r = got('resolvers')->{dns};
is("$r->{requests}{name} $r->{responses}{noerror} $r->{responses}{nxdomain}", '1 1 0', 'is counted');
is($w->get('/to/?host=none.test')->status, 502, 'a name that there is not');
$r = got('resolvers/dns');
is("$r->{requests}{name} $r->{responses}{noerror} $r->{responses}{nxdomain}", '2 1 1', 'is counted');
my $f = $w->connect(port => $w->port(4));
$f->send("GET http://app.test:" . $w->port(3) . "/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
is($f->response->status, 200, 'the forward proxy asks the resolver in force: no other knows this name');
forgotten('resolvers/dns');
is(got('resolvers/dns')->{requests}{name}, 0, 'from the beginning again');

# ---- workers
my $all = got('workers');
is(join(' ', map { $_->{id} } @$all), '0 1', 'two workers');
is_deeply([sort map { $_->{pid} } @$all], [sort $w->workers], 'their processes');
is_deeply([sort keys %{ $all->[0] }], [qw(connections http id pid)], 'what is told of each');
is_deeply([sort keys %{ $all->[0]{connections} }], [qw(accepted active dropped idle)], 'connections');
is($all->[0]{http}{requests}{current} + $all->[1]{http}{requests}{current}, 1, 'the request that asks');
sub requests { my $n = 0; $n += $_->{http}{requests}{total} for @{ got('workers') }; return $n }
my $so_far = requests();
$w->get('/') for 1 .. 10;
is(requests(), $so_far + 11, 'each request is one worker\'s');
is_deeply([map { join ',', sort keys %$_ } @{ got('workers?fields=id,pid') }], ['id,pid', 'id,pid'], 'some fields');
is(got('workers/1')->{id}, 1, 'one of them');
is_deeply([keys %{ got('workers/1?fields=pid') }], ['pid'], 'a field of it');
forgotten('workers/0');
cmp_ok(got('workers/0')->{http}{requests}{total}, '<=', 2, 'one begins anew');
forgotten('workers');
cmp_ok(requests(), '<=', 2, 'all do');
is(got('http/requests')->{total} > $so_far, 1, 'what all did stays');
kill KILL => $all->[0]{pid};
ok(wait_for(sub { my $v = eval { got('workers') }; $v && @$v == 2 && $v->[0]{pid} != $all->[0]{pid} }), 'another takes the place of one who died');
refused(404, 'WorkerNotFound', 'GET', '/api/9/workers/2');
refused(404, 'WorkerNotFound', 'GET', '/api/9/workers/x');
refused(404, 'PathNotFound', 'GET', '/api/8/workers');

# ---- clients
my $before = got('connections')->{accepted};
cmp_ok($before, '>', 30, 'connections');
forgotten('connections');
cmp_ok(got('connections')->{accepted}, '<=', 2, 'from the beginning again');
forgotten('http/requests');
is(got('http/requests')->{total}, 1, 'requests, too');

# ---- what is refused
refused(@$_) for [404, 'SlabNotFound', 'GET', '/api/9/slabs/none'], [404, 'ResolverZoneNotFound', 'GET', '/api/9/resolvers/none'], [404, 'PathNotFound', 'GET', '/api/9/ssl/x'],
    [404, 'PathNotFound', 'GET', '/api/9/processes/x'], [404, 'PathNotFound', 'GET', '/api/9/slabs/one/x'], [405, 'MethodDisabled', 'DELETE', '/api/9/slabs'],
    [405, 'MethodDisabled', 'DELETE', '/api/9/resolvers'], [405, 'MethodDisabled', 'POST', '/api/9/ssl', '{}'], [405, 'MethodDisabled', 'DELETE', '/read/9/processes'],
    [404, 'PathNotFound', 'GET', '/api/4/resolvers'];
done_testing;
