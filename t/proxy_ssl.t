# https:// upstreams, beside nginx: names, verification, certificates of our own, sessions, kept connections, what fails.
use lib 't/lib';
use Weir;
use Weir::Compare;
use Weir::Pem;

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->ca('other');
$pem->issue('server', by => 'ca', names => [qw(a.test 127.0.0.1)])->issue('second', by => 'ca', names => ['b.test'])->issue('client', by => 'ca')->encrypt('client', 'secret')->crl('ca', 'second');
$pem->write('passwords', "wrong\nsecret\n");
my %o = (vars => { PEM => $pem->{dir} }, files => { 'html/big' => join('', map { chr(97 + $_ % 26) x ($_ % 70) . "\n" } 1 .. 20000) });

my $conf = <<'EOC';
worker_processes 1;
events { }
http {
    ssl_certificate %%PEM%%/server.pem; ssl_certificate_key %%PEM%%/server.key;
    ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_trusted_certificate %%PEM%%/ca.pem;
    log_format up '$uri $status $upstream_addr $upstream_status';
    access_log %%TESTDIR%%/access.log up;
    root %%TESTDIR%%/html;
    upstream kept { server 127.0.0.1:%%PORT_1%%; keepalive 4; }
    upstream two { server 127.0.0.1:%%PORT_3%% max_fails=0; server 127.0.0.1:%%PORT_1%% backup; }
    upstream b.test { server 127.0.0.1:%%PORT_1%%; }
    # the backends
    server { listen 127.0.0.1:%%PORT_1%% ssl; server_name a.test; ssl_verify_client optional; ssl_client_certificate %%PEM%%/ca.pem; ssl_session_cache shared:s:1m; client_max_body_size 0;
        location / { return 200 "$ssl_protocol [$ssl_server_name] $ssl_client_verify $ssl_client_s_dn $http_host $request_uri"; }
        location /big { } location /put { proxy_pass http://127.0.0.1:%%PORT_4%%; proxy_request_buffering off; client_max_body_size 0; }
        location /cipher { return 200 "$ssl_cipher"; }
        location /session { return 200 "$ssl_session_reused"; }
        location /conn { return 200 "$connection_requests"; }
        location /redirect { return 302 https://127.0.0.1:%%PORT_1%%/there; }
        location /503 { return 503; } }
    server { listen 127.0.0.1:%%PORT_1%% ssl; server_name b.test; ssl_certificate %%PEM%%/second.pem; ssl_certificate_key %%PEM%%/second.key; return 200 "second [$ssl_server_name]"; }
    server { listen 127.0.0.1:%%PORT_2%% ssl; ssl_protocols TLSv1.2; return 200 "$ssl_protocol"; }
    server { listen 127.0.0.1:%%PORT_3%%; return 200 plain; }
    server { listen 127.0.0.1:%%PORT_4%%; client_max_body_size 0; return 200 "$content_length"; }
    # before them
    server { listen 127.0.0.1:%%PORT_0%%; client_max_body_size 0;
        proxy_http_version 1.1; proxy_set_header Connection ""; proxy_ssl_session_reuse off;     # nginx resumes what other locations began
        location / { proxy_pass https://127.0.0.1:%%PORT_1%%; }
        location /uri/ { proxy_pass https://127.0.0.1:%%PORT_1%%/other/; }
        location /port { proxy_pass https://127.0.0.1:%%PORT_1%%; proxy_set_header X $proxy_host:$proxy_port; }
        location /name { proxy_pass https://127.0.0.1:%%PORT_1%%; proxy_ssl_server_name on; proxy_ssl_name a.test; }
        location /address { proxy_pass https://127.0.0.1:%%PORT_1%%; proxy_ssl_server_name on; }
        location /variable { proxy_pass https://$http_x_to; }
        location /second { proxy_pass https://b.test; proxy_ssl_server_name on; proxy_ssl_verify on; }
        location /revoked { proxy_pass https://b.test; proxy_ssl_server_name on; proxy_ssl_verify on; proxy_ssl_crl %%PEM%%/ca.crl; }
        location /verified { proxy_pass https://127.0.0.1:%%PORT_1%%; proxy_ssl_verify on; proxy_ssl_name a.test; }
        location /stranger { proxy_pass https://127.0.0.1:%%PORT_1%%; proxy_ssl_verify on; proxy_ssl_name a.test; proxy_ssl_trusted_certificate %%PEM%%/other.pem; }
        location /misnamed { proxy_pass https://127.0.0.1:%%PORT_1%%; proxy_ssl_verify on; proxy_ssl_name c.test; }
        location /certificate { proxy_pass https://127.0.0.1:%%PORT_1%%; proxy_ssl_certificate %%PEM%%/client.pem; proxy_ssl_certificate_key %%PEM%%/client.key; }
        location /encrypted { proxy_pass https://127.0.0.1:%%PORT_1%%; proxy_ssl_certificate %%PEM%%/client.pem; proxy_ssl_certificate_key %%PEM%%/client.enc; proxy_ssl_password_file %%PEM%%/passwords; }
        location /tls12 { proxy_pass https://127.0.0.1:%%PORT_1%%; proxy_ssl_protocols TLSv1.2; }
        location /tls13 { proxy_pass https://127.0.0.1:%%PORT_2%%; proxy_ssl_protocols TLSv1.3; }
        location /cipher { proxy_pass https://127.0.0.1:%%PORT_1%%; proxy_ssl_protocols TLSv1.2; proxy_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256; }
        location /cipher13 { proxy_pass https://127.0.0.1:%%PORT_1%%/cipher; proxy_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; }
        location /plain { proxy_pass https://127.0.0.1:%%PORT_3%%; }
        location /next { proxy_pass https://two; }
        location /never { proxy_pass https://two; proxy_next_upstream off; }
        location /session { proxy_pass https://127.0.0.1:%%PORT_1%%; proxy_set_header Connection close; proxy_ssl_protocols TLSv1.2; proxy_ssl_session_reuse on; }
        location /session/13 { proxy_ssl_session_reuse on; proxy_pass https://127.0.0.1:%%PORT_1%%/session; proxy_set_header Connection close; }
        location /session/off { proxy_pass https://127.0.0.1:%%PORT_1%%/session; proxy_set_header Connection close; proxy_ssl_protocols TLSv1.2; proxy_ssl_session_reuse off; }
        location /conn { proxy_pass https://kept; }
        location /conn/other { proxy_pass https://kept/conn; proxy_ssl_certificate %%PEM%%/client.pem; proxy_ssl_certificate_key %%PEM%%/client.key; }
        location /redirect { proxy_pass https://127.0.0.1:%%PORT_1%%; }
    }
}
EOC
sub get { my ($uri, $n, @headers) = @_; return sub { my $w = shift; $w->get($uri, headers => \@headers) for 2 .. $n // 1; $w->get($uri, headers => \@headers) } }
my $body = 'x' x 300_000;
my @w = Weir->compare($conf, [
    (map { $_ => get($_) } qw(/ /uri/x?y /port /name /address /second /revoked /verified /stranger /misnamed /certificate /encrypted /tls12 /tls13 /cipher /cipher13 /plain /next /never /big /redirect)),
    'variables' => sub { my $w = shift; $w->get('/variable/x', headers => ['X-To' => '127.0.0.1:' . $w->port(1)]) },
    'a body' => sub { $_[0]->get('/put', method => 'POST', body => $body) },
    'a plain backend, POST' => sub { $_[0]->get('/next', method => 'POST', body => 'x') },
    'sessions' => get('/session', 3), 'sessions, off' => get('/session/off', 3),
    'a kept connection' => get('/conn', 3),
], %o, ignore => ['etag']);
my $lines = sub { my $t = $_[0]->access_log; return $t =~ tr/\n// };
ok(wait_for(sub { $lines->($w[0]) == $lines->($w[1]) }), 'as many lines in the access logs');
my ($n, $w) = map { my $x = $_; my $t = join "\n", sort split /\n/, $x->access_log; $t =~ s/:$x->{ports}{$_}\b/:PORT_$_/g for keys %{ $x->{ports} }; $t } @w;
is($w, $n, 'the access logs');
for my $what ('upstream SSL certificate verify error: \(\d+:certificate revoked\)', 'upstream SSL certificate verify error: \(\d+:unable to verify the first certificate\)', 'upstream SSL certificate does not match "c\.test"', 'SSL_do_handshake\(\) failed \(SSL: error:\w+:SSL routines::wrong version number\)') {
    like($_->error_log, qr/\[error\] .*$what while SSL handshaking to upstream, client: 127\.0\.0\.1, server: , request: "GET [^"]*", upstream: "https:/, $_->name . ": $what") for @w;
}
is(get('/conn/other')->($w[1])->body, '1', 'with another certificate it is another connection');
is(get('/conn')->($w[1])->body, '4', 'and the first is still there');
is(get('/session/13', 3)->($w[1])->body, 'r', 'sessions of TLS 1.3 are resumed');
my @said = $w[1]->t_binary;
like($said[1], qr/\[warn\] upstream-unverified: anybody can answer for "https:/, '-t tells of upstreams that are not verified');
done_testing;
