# suwsgi: uwsgi over TLS: the uwsgi_ssl_ directives, beside nginx.
use lib 't/lib';
use Weir;
use Weir::Pem;

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->ca('other');
$pem->issue('server', by => 'ca', names => [qw(a.test 127.0.0.1)])->issue('client', by => 'ca')->encrypt('client', 'secret')->crl('ca', 'server');
$pem->write('passwords', "wrong\nsecret\n");
sub uwsgi {
    my $conn = shift;
    my ($m1, $n, $m2) = unpack 'CvC', $conn->bytes(4);
    my ($in, %p) = ($conn->bytes($n));
    while (length $in) { my ($k, $v) = unpack 'v/a v/a', $in; substr $in, 0, 4 + length($k) + length $v, ''; $p{$k} = $v }
    my $body = $conn->bytes($p{CONTENT_LENGTH} || 0);
    my $s = $conn->sock;
    my $tls = $s->can('get_sslversion') ? join ' ', $s->get_sslversion, 'name=' . ($s->get_servername // ''), 'cipher=' . ($p{CIPHER} ? $s->get_cipher : ''), 'shown=' . ($s->peer_certificate('commonName') // '') : 'plain';
    $conn->send("Content-Type: text/plain\r\n\r\n$tls " . ($p{METHOD} // '') . ' ' . length($body) . "\n" . 'x' x ($p{LONG} || 0));
    $conn->close;
}
my %ssl = (SSL_cert_file => "$pem->{dir}/server.pem", SSL_key_file => "$pem->{dir}/server.key", SSL_ca_file => "$pem->{dir}/ca.pem", SSL_verify_mode => 1);
my %b = (TLS => Weir::Backend->new(\&uwsgi, connection => 1, ssl => \%ssl), PLAIN => Weir::Backend->new(\&uwsgi, connection => 1), TLS12 => Weir::Backend->new(\&uwsgi, connection => 1, ssl => { %ssl, SSL_version => 'TLSv12' }));
my $port = $b{TLS}->port;
my $conf = <<'EOC';
events { }
http {
    uwsgi_param METHOD $request_method; uwsgi_param CONTENT_LENGTH $content_length; uwsgi_param LONG $arg_long; uwsgi_param CIPHER $arg_cipher;
    uwsgi_ssl_protocols TLSv1.2 TLSv1.3; uwsgi_ssl_session_reuse off; uwsgi_ssl_trusted_certificate %%PEM%%/ca.pem;
    upstream a.test { server %%TLS%%; }
    upstream two { server %%PLAIN%% max_fails=0; server %%TLS%% backup; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { uwsgi_pass suwsgi://%%TLS%%; }
        location /capitals { uwsgi_pass SUWSGI://%%TLS%%; }
        location /plain { uwsgi_pass uwsgi://%%PLAIN%%; }
        location /var { uwsgi_pass $http_x_to; }
        location /scheme { uwsgi_pass suwsgi://$http_x_to; }
        location /group { uwsgi_pass suwsgi://a.test; uwsgi_ssl_server_name on; uwsgi_ssl_verify on; }
        location /name { uwsgi_pass suwsgi://%%TLS%%; uwsgi_ssl_server_name on; uwsgi_ssl_name a.test; uwsgi_ssl_verify on; }
        location /address { uwsgi_pass suwsgi://%%TLS%%; uwsgi_ssl_server_name on; }
        location /misnamed { uwsgi_pass suwsgi://%%TLS%%; uwsgi_ssl_name c.test; uwsgi_ssl_verify on; }
        location /stranger { uwsgi_pass suwsgi://a.test; uwsgi_ssl_verify on; uwsgi_ssl_trusted_certificate %%PEM%%/other.pem; }
        location /revoked { uwsgi_pass suwsgi://a.test; uwsgi_ssl_verify on; uwsgi_ssl_crl %%PEM%%/ca.crl; }
        location /shown { uwsgi_pass suwsgi://%%TLS%%; uwsgi_ssl_certificate %%PEM%%/client.pem; uwsgi_ssl_certificate_key %%PEM%%/client.enc; uwsgi_ssl_password_file %%PEM%%/passwords; }
        location /old { uwsgi_pass suwsgi://%%TLS%%; uwsgi_ssl_protocols TLSv1.2; uwsgi_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256; }
        location /command { uwsgi_pass suwsgi://%%TLS%%; uwsgi_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; }
        location /too_new { uwsgi_pass suwsgi://%%TLS12%%; uwsgi_ssl_protocols TLSv1.3; }
        location /no_tls { uwsgi_pass suwsgi://%%PLAIN%%; }
        location /next { uwsgi_pass suwsgi://two; uwsgi_next_upstream error timeout; }
    }
}
EOC
sub get { my ($uri, @fields) = @_; return join "\r\n", "GET $uri HTTP/1.1", 'Host: h', 'Connection: close', @fields, '', '' }
my %vars = (PEM => $pem->{dir}, map { ($_ => $b{$_}->addr) } keys %b);
Weir->compare($conf, [
    (map { ("get $_" => get($_)) } qw(/ /capitals /plain /group /name /address /misnamed /stranger /revoked /shown /old?cipher=1 /command?cipher=1 /too_new)),
    'a body' => join("\r\n", 'POST / HTTP/1.1', 'Host: h', 'Content-Length: 50000', '', '') . 'b' x 50000,
    'a long answer' => get('/?long=300000'),
    'variables: TLS' => get('/var', "X-To: suwsgi://127.0.0.1:$port"), 'variables: a group' => get('/var', 'X-To: suwsgi://a.test'),
    'variables: plain' => get('/var', 'X-To: ' . $b{PLAIN}->addr), 'variables: plain, said so' => get('/var', 'X-To: uwsgi://' . $b{PLAIN}->addr),
    'variables behind a scheme' => get('/scheme', "X-To: 127.0.0.1:$port"),
], vars => \%vars);

my $w = Weir->new(conf => $conf, vars => \%vars, files => { hosts => '' })->start;
is($w->get('/no_tls')->status, 502, 'a server that speaks no TLS');
is((split ' ', $w->get('/next')->body)[0], 'TLSv1_3', 'the next peer is asked');
like($w->get('/var', headers => ['X-To' => "suwsgi://localhost:$port"])->body, qr/^TLSv1_3 /, 'a name in a variable is looked up');
like($w->get('/var', headers => ['X-To' => 'localhost:' . $b{PLAIN}->port])->body, qr/^plain /, 'for plain connections too');
is($w->get('/var', headers => ['X-To' => 'suwsgi://nosuch.invalid:1'])->status, 502, 'one that there is not');
is($w->get('/var', headers => ['X-To' => 'suwsgi://localhost'])->status, 502, 'one without a port');
like($w->error_log, qr/no port in upstream "localhost"/, 'is told of');
is($w->get('/revoked')->status, 502, 'a revoked certificate');
like($w->error_log, qr{certificate revoked.*upstream: "suwsgi://127\.0\.0\.1:$port/revoked"}, 'is told of');
for (['uwsgi_ssl_certificate %%PEM%%/client.pem; uwsgi_pass suwsgi://127.0.0.1:1;', qr/no "uwsgi_ssl_certificate_key" is defined for certificate/],
    ['uwsgi_ssl_verify on; uwsgi_pass suwsgi://127.0.0.1:1;', qr/no uwsgi_ssl_trusted_certificate for uwsgi_ssl_verify in .*:4/]) {
    my $v = Weir->new(vars => \%vars, conf => "events { }\nhttp {\nserver { listen 127.0.0.1:%%PORT_0%%;\nlocation / { $_->[0] } } }");
    my ($code, $text) = $v->t_binary;
    ok($code && $text =~ $_->[1], "refused: $_->[0]") or diag $text;
}
done_testing;
