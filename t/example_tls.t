# conf/examples/mtls_backends.conf and tls_edge.conf do what they say.
use lib 't/lib';
use Weir;
use Weir::Pem;

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->ca('other');
$pem->issue('edge', by => 'ca', names => ['www.example.com'])->issue('proxy', by => 'ca')->issue('someone', by => 'ca')->issue('fired', by => 'ca')->issue('stranger', by => 'other');
$pem->issue('orders', by => 'ca', names => ['orders.internal'])->issue('app', by => 'ca', names => ['app.internal'])->crl('ca', 'fired');
sub pems { my %to = @_; return map { ($_ => $pem->read($to{$_})) } keys %to }
sub conf_of {
    my ($name, %ports) = @_;
    my $conf = Weir::slurp("$Weir::top/conf/examples/$name.conf");
    for my $p (keys %ports) { my $to = $ports{$p}; $conf =~ s/listen( +)(127\.0\.0\.1:)?$p\b/listen$1 127.0.0.1:$to/g or $conf =~ /$p/ or die; $conf =~ s/127\.0\.0\.1:$p\b/127.0.0.1:$to/g }
    return $conf;
}

# ---- mTLS to backends

sub mtls {
    my %o = @_;
    return Weir->new(conf => conf_of('mtls_backends', 8443 => '%%PORT_0%%', 9443 => '%%PORT_1%%'), files => { pems('edge.pem' => 'edge.pem', 'edge.key' => 'edge.key',
        'proxy.pem' => ($o{proxy} // 'proxy') . '.pem', 'proxy.key' => ($o{proxy} // 'proxy') . '.key', 'orders.pem' => ($o{orders} // 'orders') . '.pem', 'orders.key' => ($o{orders} // 'orders') . '.key',
        'private_ca.pem' => 'ca.pem', 'private_ca.crl' => 'ca.crl') })->start;
}
sub answer { my $r = $_[0]->get('/', ssl => 1); return $r->status . ' ' . ($r->body =~ /^(hello.*)/ ? $1 : '') }
is(answer(mtls()), '200 hello O=Test,CN=proxy', 'both sides know each other');
is(answer(mtls(proxy => 'someone')), '403 ', 'another of the same authority may not come');
is(answer(mtls(proxy => 'fired')), '400 ', 'nor one whose certificate was taken back');
is(answer(mtls(proxy => 'stranger')), '400 ', 'nor one of another authority');
my $w = mtls(orders => 'app');
is(answer($w), '502 ', 'a backend of another name gets nothing');
ok($w->wait_error(qr/upstream SSL certificate does not match "orders\.internal"/), 'and it is said why');
$w = mtls(orders => 'stranger');
is(answer($w), '502 ', 'nor one of another authority');
my $c = mtls()->connect(port => 1, ssl => 1);
is($c->get('/', headers => [Host => 'orders.internal'])->status, 400, 'the backend answers nobody without a certificate');

# ---- TLS to the edge, and again inside

my $b = Weir->new(vars => { PEM => $pem->{dir} }, conf => <<'EOC')->start;
events { }
http { server { listen 127.0.0.1:%%PORT_0%% ssl; server_name app.internal; ssl_certificate %%PEM%%/app.pem; ssl_certificate_key %%PEM%%/app.key;
    if ($http_early_data) { return 425; } return 200 "$ssl_server_name $host $http_x_forwarded_proto"; } }
EOC
$w = Weir->new(conf => conf_of('tls_edge', 8080 => '%%PORT_0%%', 8443 => '%%PORT_1%%', 9443 => $b->port(0)), files => { pems('edge.pem' => 'edge.pem', 'edge.key' => 'edge.key', 'internal_ca.pem' => 'ca.pem'), 'ticket.key' => 'k' x 80 })->start;
is($w->get('/x?y', headers => [Host => 'www.example.com'])->header('location'), 'https://www.example.com/x?y', 'plain HTTP is sent on');
my $to = $w->port(1);
my $session = Weir::scratch() . '/session';
sub visit {
    my ($name, @more) = @_;
    return scalar `printf 'GET /a HTTP/1.1\\r\\nHost: $name\\r\\nConnection: close\\r\\n\\r\\n' | timeout 10 openssl s_client -connect 127.0.0.1:$to -servername $name -ign_eof @more 2>&1`;
}
my $said = visit('www.example.com', '-sess_out', $session);
like($said, qr/200 OK.*Strict-Transport-Security: max-age=31536000.*app\.internal www\.example\.com https/s, 'a request, TLS twice');
$said = visit('other.example.com');
unlike($said, qr/BEGIN CERTIFICATE/, 'another name is shown no certificate');
like($said, qr/unrecognized name/, 'but refused');
my $early = Weir::scratch() . '/early';
$pem->write('../early', "GET /a HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
like(visit('www.example.com', '-sess_in', $session, '-early_data', $early), qr/HTTP\/1\.1 425.*HTTP\/1\.1 200/s, 'a request that may be a replay is told to the backend, which wants it again');
done_testing;
