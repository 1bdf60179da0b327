# Certificates named by variables, keys of a store, passwords through a pipe, key logs, early data, schemes of signatures.
use lib 't/lib';
use Weir;
use Weir::Pem;
use POSIX qw(mkfifo);

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca');
$pem->issue($_, by => 'ca', names => ["$_.test"]) for qw(a b c client);
$pem->issue('rsa', by => 'ca', names => ['rsa.test'], rsa => 1);
$pem->encrypt('b', 'secret');
$pem->write('passwords', "wrong\nsecret\n");
rename $pem->file('b.enc'), $pem->file('b.key');
$pem->write('mixed.pem', $pem->read('a.pem')) && $pem->write('mixed.key', $pem->read('c.key'));
my $one_line = sub { my $t = $pem->read(shift); $t };
my $conf = <<'EOC';
worker_processes 1;
events { }
http {
    ssl_password_file %%PEM%%/passwords;
    map $ssl_server_name $data_cert { default "data:%%C_PEM%%"; }
    map $ssl_server_name $data_key { default "data:%%C_KEY%%"; }
    log_format up '$uri [$ssl_server_name]';
    access_log %%TESTDIR%%/access.log up;
    server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate %%PEM%%/$ssl_server_name.pem; ssl_certificate_key %%PEM%%/$ssl_server_name.key; return 200 "$ssl_server_name"; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; ssl_certificate $data_cert; ssl_certificate_key $data_key; return 200 "data"; }
    server { listen 127.0.0.1:%%PORT_2%% ssl; ssl_certificate %%PEM%%/a.pem; ssl_certificate_key store:file:%%PEM%%/a.key; ssl_key_log %%TESTDIR%%/keys.log; return 200 "store"; }
    server { listen 127.0.0.1:%%PORT_3%% ssl; ssl_certificate ../pem/$ssl_server_name.pem; ssl_certificate_key ../pem/$ssl_server_name.key; ssl_certificate_cache max=2 inactive=1h valid=1h; return 200 "cached"; }
    server { listen 127.0.0.1:%%PORT_4%% ssl; ssl_certificate %%PEM%%/a.pem; ssl_certificate_key %%PEM%%/a.key; ssl_certificate %%PEM%%/rsa.pem; ssl_certificate_key %%PEM%%/rsa.key;
        ssl_verify_client optional; ssl_client_certificate %%PEM%%/ca.pem; ssl_protocols TLSv1.2 TLSv1.3;
        return 200 "[$ssl_sigalg] [$ssl_client_sigalg] [$ssl_sigalgs] [$ssl_ech_status$ssl_ech_outer_server_name]"; }
    server { listen 127.0.0.1:%%PORT_5%% ssl; ssl_certificate %%PEM%%/a.pem; ssl_certificate_key %%PEM%%/a.key; ssl_early_data on; return 200 "early [$ssl_early_data] $request_body_file$uri\n"; }
    server { listen 127.0.0.1:%%PORT_6%% ssl; server_name plain.test; ssl_certificate %%PEM%%/a.pem; ssl_certificate_key %%PEM%%/a.key; return 200 "early [$ssl_early_data] $uri\n"; }
    server { listen 127.0.0.1:%%PORT_7%%; proxy_ssl_password_file %%PEM%%/passwords; proxy_http_version 1.1; proxy_set_header Connection "";
        location / { proxy_pass https://up; proxy_ssl_certificate $arg_c; proxy_ssl_certificate_key $arg_k; proxy_ssl_certificate_cache max=10; proxy_ssl_key_log %%TESTDIR%%/up.log; } }
    upstream up { server 127.0.0.1:%%PORT_8%%; keepalive 4; }
    server { listen 127.0.0.1:%%PORT_8%% ssl; ssl_certificate %%PEM%%/a.pem; ssl_certificate_key %%PEM%%/a.key; ssl_verify_client optional_no_ca; return 200 "[$ssl_client_s_dn] $connection_requests"; }
}
EOC
my $w = Weir->new(conf => $conf, vars => { PEM => $pem->{dir}, C_PEM => $pem->read('c.pem'), C_KEY => $pem->read('c.key') }, log_level => 'info')->start;

# The body, and the subject of the certificate that was shown.
sub ask {
    my ($port, $name, @more) = @_;
    my $to = $w->port($port);
    my $said = `printf 'GET / HTTP/1.0\\r\\nHost: $name\\r\\n\\r\\n' | timeout 10 openssl s_client -connect 127.0.0.1:$to -servername $name -ign_eof @more 2>/dev/null`;
    my ($subject) = $said =~ /^subject=CN = (\w+)/m;
    my ($body) = $said =~ m{\r\n\r\n(.*?)(?:\n?closed\n|---\n|\z)}s;
    return ($body // "") . " " . ($subject // "none");
}
is(ask(0, 'a'), 'a a', 'a certificate named by a variable');
is(ask(0, 'b', '-tls1_2'), 'b b', 'an encrypted key, TLS 1.2');
is(ask(0, 'zz'), ' none', 'no such file: no handshake');
ok($w->wait_error(qr/\[error\] .*cannot load certificate "[^"]*zz\.pem": BIO_new_file\(\) failed \(SSL: .*No such file.*while SSL handshaking, client: 127\.0\.0\.1/), 'and it is said');
is(ask(0, 'mixed'), ' none', 'another key than the certificate\'s');
ok($w->wait_error(qr/\[error\] .*cannot load certificate key "[^"]*mixed\.key": it is not that of the certificate/), 'and it is said');
is(ask(1, 'c'), 'data c', 'the certificate itself in a variable');
unlike($w->error_log, qr/BEGIN|data:./, 'no key is logged');
is(ask(2, 'a'), 'store a', 'a key of a store');
like(Weir::slurp("$w->{dir}/keys.log"), qr/^(CLIENT_HANDSHAKE_TRAFFIC_SECRET|SERVER_HANDSHAKE_TRAFFIC_SECRET|CLIENT_RANDOM|EXPORTER_SECRET) [0-9a-f]{64} [0-9a-f]+\n/m, 'secrets are logged where it is asked for');
is(ask(3, 'a'), 'cached a', 'kept');
rename $pem->file('a.pem'), $pem->file('a.gone');
is(ask(3, 'a'), 'cached a', 'it is not read again');
is(ask(0, 'a'), ' none', 'where it is not kept it is');
ask(3, $_) for qw(b c);
is(ask(3, 'a'), ' none', 'when two others were asked for it is forgotten');
rename $pem->file('a.gone'), $pem->file('a.pem');

my $sig = sub { ask(4, 'a.test', @_) };
like($sig->('-sigalgs', 'ECDSA+SHA256:RSA-PSS+SHA256'), qr/^\[ecdsa_secp256r1_sha256\] \[\] \[ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256\] \[\]/, 'schemes of an EC key');
like($sig->('-sigalgs', 'RSA-PSS+SHA384'), qr/^\[rsa_pss_rsae_sha384\] \[\] \[rsa_pss_rsae_sha384\]/, 'of an RSA key');
like($sig->('-tls1_2', '-sigalgs', 'RSA+SHA512'), qr/^\[rsa_pkcs1_sha512\]/, 'TLS 1.2');
like($sig->('-cert', $pem->file('rsa.pem'), '-key', $pem->file('rsa.key')), qr/\[rsa_pss_rsae_sha256\] \[ecdsa/, 'the client\'s');

# ---- early data

my $session = Weir::scratch() . '/early';
sub visit {
    my ($port, %o) = @_;
    my $to = $w->port($port);
    my $in = Weir::scratch() . '/request';
    open my $out, '>', $in or die; print $out "GET /in/early HTTP/1.1\r\nHost: a\r\n\r\n"; close $out;
    my @early = $o{early} ? ('-early_data', $in) : ();
    my @keep = -s $session ? ('-sess_in', $session) : ();
    return scalar `(printf 'GET /after HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n') | timeout 10 openssl s_client -connect 127.0.0.1:$to -servername plain.test -tls1_3 -ign_eof @keep -sess_out $session @early 2>&1`;
}
unlink $session;
like(visit(5), qr/early \[\] \/after/, 'a first visit');
my $said = visit(5, early => 1);
like($said, qr/Early data was accepted/, 'early data is taken');
like($said, qr/early \[1\] \/in\/early\n.*early \[\] \/after/s, 'a request in it is told from one after it');
unlink $session;
visit(6);
unlike(visit(6, early => 1), qr/Early data was accepted/, 'not where it is not asked for');

# ---- to upstreams

my $file = sub { "/?c=$pem->{dir}/$_[0].pem&k=$pem->{dir}/$_[0].key" };
is($w->get($file->('client'), port => 7)->body, '[O=Test,CN=client] 1', 'a certificate for the upstream by variables');
is($w->get($file->('b'), port => 7)->body, '[O=Test,CN=b] 1', 'another one, on a connection of its own');
is($w->get($file->('client'), port => 7)->body, '[O=Test,CN=client] 2', 'the first again, on the first connection');
is($w->get('/', port => 7)->body, '[] 1', 'an empty one is none');
isnt($w->get($file->('none'), port => 7)->status, 200, 'no such file');
ok($w->wait_error(qr/\[error\] .*cannot load certificate "[^"]*none\.pem"/), 'it is said');
like(Weir::slurp("$w->{dir}/up.log"), qr/^CLIENT_TRAFFIC_SECRET_0 /m, 'secrets of upstream sessions');

# ---- what is wrong

my $t = sub { my $x = Weir->new(conf => "events { } http { server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate %%PEM%%/a.pem; ssl_certificate_key %%PEM%%/a.key; $_[0] } }", vars => { PEM => $pem->{dir} }); return join ' ', $x->t_binary };
like($t->('ssl_certificate_cache max=0;'), qr/invalid parameter "max=0"/, 'a cache of nothing');
like($t->('ssl_certificate_cache inactive=1s;'), qr/must have the "max" parameter/, 'a cache of no size');
like($t->('ssl_certificate_cache off;'), qr/^0/, 'none');
like($t->('ssl_ech_file x;'), qr/"ssl_ech_file" is not supported: OpenSSL 3/, 'ECH is refused, not ignored');
like($t->('ssl_certificate_compression on;'), qr/^0.*"ssl_certificate_compression" is not supported on this platform, ignored/s, 'compression of certificates is left out');
like($t->('ssl_certificate $nothing_of_this;'), qr/unknown "nothing_of_this" variable/, 'an unknown variable');
like($t->('ssl_certificate a; ssl_certificate_key engine:nothing;'), qr/emerg/, 'an engine without a key');
like(Weir->new(conf => "events { } http { server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate %%PEM%%/a.pem; ssl_certificate_key engine:nosuch:key; } }", vars => { PEM => $pem->{dir} })->t_binary, qr/cannot load certificate key "engine:nosuch:key": ENGINE_by_id\(\) failed/, 'no such engine');
like(Weir->new(conf => "events { } http { server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate %%PEM%%/a.pem; ssl_certificate_key store:pkcs11:token=x; } }", vars => { PEM => $pem->{dir} })->t_binary, qr/cannot load certificate key "store:pkcs11:token=x": OSSL_STORE_open\(\) failed/, 'no provider for the store');

mkfifo($pem->file('pipe'), 0600) or die;
my $pid = fork // die;
if (!$pid) { open my $p, '>', $pem->file('pipe'); syswrite $p, 'sec'; select undef, undef, undef, 0.05; syswrite $p, "ret\n"; Weir::leave() }
my $p = Weir->new(conf => "events { } http { server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate %%PEM%%/b.pem; ssl_certificate_key %%PEM%%/b.key; ssl_password_file %%PEM%%/pipe; } }", vars => { PEM => $pem->{dir} });
like(join(' ', $p->t_binary), qr/^0/, 'a password through a pipe');
waitpid $pid, 0;
done_testing;
