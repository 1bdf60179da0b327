# What the API tells of TLS handshakes: of the clients of each server ("status_zone"), and with each server of a group.
use lib 't/lib';
use Weir;
use Weir::Pem;
use JSON::PP;

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('server', by => 'ca', names => ['a.test'])->issue('second', by => 'ca', names => ['b.test']);
my $away = '127.0.0.1:' . Weir::free_port();
my $plain = Weir::Backend->new(sub { my ($conn) = @_; $conn->bytes(1); $conn->send('what?'); $conn->close }, connection => 1);
my $w = Weir->new(vars => { PEM => $pem->{dir}, AWAY => $away, PLAIN => $plain->addr }, conf => <<'EOC')->start;
worker_processes 2;
events { }
http {
    ssl_protocols TLSv1.2;
    ssl_session_cache shared:s:1m;
    proxy_ssl_trusted_certificate %%PEM%%/ca.pem; proxy_ssl_verify on; proxy_ssl_server_name on;
    upstream two { zone two 64k; server 127.0.0.1:%%PORT_1%% max_fails=0; server 127.0.0.1:%%PORT_2%% max_fails=0 backup; keepalive 0; }
    upstream no { zone no 64k; server %%AWAY%% max_fails=0; server %%PLAIN%% max_fails=0; }
    server { listen 127.0.0.1:%%PORT_0%%; status_zone front; location /api { api write=on; }
        location / { proxy_set_header Connection close; proxy_ssl_name a.test; proxy_pass https://two; }
        location /fresh { proxy_set_header Connection close; proxy_ssl_name a.test; proxy_ssl_session_reuse off; proxy_pass https://two; }
        location /misnamed { proxy_ssl_name c.test; proxy_ssl_server_name off; proxy_next_upstream off; proxy_pass https://two; }
        location /no { proxy_ssl_name a.test; proxy_pass https://no; }
        location /http { proxy_pass http://127.0.0.1:%%PORT_3%%; } }
    server { listen 127.0.0.1:%%PORT_1%% ssl; server_name a.test; ssl_certificate %%PEM%%/server.pem; ssl_certificate_key %%PEM%%/server.key; status_zone a; return 200 a; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; server_name b.test; ssl_certificate %%PEM%%/second.pem; ssl_certificate_key %%PEM%%/second.key; status_zone b; return 200 b; }
    server { listen 127.0.0.1:%%PORT_2%% ssl; server_name a.test; ssl_certificate %%PEM%%/server.pem; ssl_certificate_key %%PEM%%/server.key; status_zone must; ssl_verify_client on; ssl_client_certificate %%PEM%%/ca.pem; return 200 must; }
    server { listen 127.0.0.1:%%PORT_3%%; status_zone plain; return 200 plain; }
}
EOC
sub ask {
    my ($method, $path) = @_;
    my $m = $w->raw("$method /api/9/$path HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    return ($m->status, length $m->body ? decode_json($m->body) : undef);
}
sub zone { return (ask('GET', "http/server_zones/$_[0]"))[1]{ssl} }
sub peers { return @{ (ask('GET', "http/upstreams/$_[0]"))[1]{peers} } }
sub s_client { return system("openssl s_client -connect 127.0.0.1:" . $w->port($_[0]) . " $_[1] </dev/null >/dev/null 2>&1") ? 1 : 0 }

my %none = (handshakes => 0, session_reuses => 0, handshakes_failed => 0, no_common_protocol => 0, no_common_cipher => 0, handshake_timeout => 0, peer_rejected_cert => 0,
    verify_failures => { no_cert => 0, expired_cert => 0, revoked_cert => 0, hostname_mismatch => 0, other => 0 });
is_deeply(zone($_), \%none, "$_: no handshakes yet") for qw(a b must);
is(zone('front'), undef, 'a server without a certificate has none');
is((peers('two'))[0]{ssl}, undef, 'a peer that nobody spoke TLS with neither');

is($w->get('/fresh')->body, 'a', 'a request over TLS');
is_deeply(zone('a'), { %none, handshakes => 1 }, 'counted where it was');
is_deeply(zone('b'), \%none, 'not elsewhere');
my %of_peer = %none;
delete $of_peer{no_common_cipher};
$of_peer{verify_failures} = { %{ $none{verify_failures} } };
delete $of_peer{verify_failures}{no_cert};
is_deeply((peers('two'))[0]{ssl}, { %of_peer, handshakes => 1 }, 'and with whom');
is((peers('two'))[1]{ssl}, undef, 'not with the other');
$w->get('/') for 1 .. 12;      # each worker keeps its own session
is(zone('a')->{handshakes}, 13, 'more of them');
cmp_ok(zone('a')->{session_reuses}, '>=', 10, 'most were resumed');
is((peers('two'))[0]{ssl}{session_reuses}, zone('a')->{session_reuses}, 'both sides say so');

is(s_client(1, '-servername b.test'), 0, 'by name');
is(zone('b')->{handshakes}, 1, 'the server of that name');
is(s_client(1, '-servername b.test -tls1_3'), 1, 'a version that is not spoken');
ok(wait_for(sub { zone('b')->{no_common_protocol} == 1 && zone('b')->{handshakes_failed} == 1 }), 'is counted there too') or diag explain(zone('b'), zone('a'));
is(s_client(2, '-tls1_2 -servername a.test -verify_return_error'), 1, 'a client that trusts nobody');
ok(wait_for(sub { zone('must')->{peer_rejected_cert} == 1 }), 'counted');
is($w->get('/', port => $w->port(2), ssl => {})->status, 400, 'no certificate');
is(zone('must')->{verify_failures}{no_cert}, 1, 'counted');
is($w->get('/misnamed')->status, 502, 'a server of another name');
my $ssl = (peers('two'))[0]{ssl};
is("$ssl->{verify_failures}{hostname_mismatch} $ssl->{handshakes_failed}", '1 1', 'counted with whom') or diag explain $ssl;
is($w->get('/no')->status, 502, 'nobody, and one who speaks no TLS');
is_deeply([map { $_->{ssl} ? $_->{ssl}{handshakes_failed} : '-' } peers('no')], ['-', 1], 'a connection that was not made is no handshake');

my $many = zone('a')->{handshakes};
$w->reload;
is(zone('a')->{handshakes}, $many, 'after a reload');
is((ask('DELETE', 'http/server_zones/a'))[0], 204, 'a zone begins anew');
is_deeply(zone('a'), \%none, 'it did');
is((ask('DELETE', 'http/upstreams/two'))[0], 204, 'a group, too');
is((peers('two'))[0]{ssl}, undef, 'it did');
done_testing;
