# What is wrong with a configuration of TLS is said in nginx's words, and what is right is taken.
use lib 't/lib';
use Weir;
use Weir::Pem;
use File::Path qw(make_path);

my $dir = Weir::scratch();
make_path("$dir/$_") for qw(logs conf);
my $weir = Cwd::abs_path($ENV{WEIR_BINARY} // 'objs/weir');
my $pem = Weir::Pem->new("$dir/conf");
$pem->ca('ca')->issue('a', by => 'ca')->issue('r', by => 'ca', rsa => 1)->encrypt('a', 'secret')->crl('ca');
$pem->write('passwords', "wrong\nsecret\n");
$pem->write('wrong', "wrong\n");
$pem->write("t$_", 'x' x $_) for 10, 48, 80, 81;
$pem->write('rubbish', "rubbish\n");
$pem->write('dh.pem', <<'EOD');
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
EOD
sub said {
    my ($binary, $text) = @_;
    open my $out, '>', "$dir/conf/x.conf" or die;
    print $out "error_log stderr; pid $dir/logs/pid;\nevents { }\nhttp {\naccess_log off;\n$text\n}\n";
    close $out;
    my @lines = split /\n/, `$binary -t -p $dir/ -e stderr -c $dir/conf/x.conf 2>&1`;
    my ($line) = grep { /\[(emerg|alert|warn)\]/ } @lines;
    return 'ok' unless defined $line;
    $line =~ s/^(\S+ \S+ )?(nginx: |weir: )?(\[\w+\]) (\d+#\d+: )?/$3 /;
    $line =~ s/ \((did you mean|it belongs).*?\)(?= in )//;
    $line =~ s/"\w+" directive invalid (value|number) in|invalid (value|number) "[^"]*" (in "\w+" directive )?in/"invalid " . ($1 \/\/ $2) . ' in'/e;
    $line =~ s/\Q$dir\E/DIR/g;
    return $line;
}
my $a = 'ssl_certificate a.pem; ssl_certificate_key a.key;';
my @cases = (map({ "server { listen 25700 ssl; $_ }" }
    $a, '', 'ssl_certificate a.pem;', 'ssl_certificate_key a.key;', 'ssl_certificate none.pem; ssl_certificate_key a.key;', 'ssl_certificate a.pem; ssl_certificate_key none.key;', 'ssl_certificate rubbish; ssl_certificate_key a.key;',
    'ssl_certificate a.pem; ssl_certificate_key rubbish;', 'ssl_certificate a.pem; ssl_certificate_key r.key;', "$a ssl_certificate r.pem; ssl_certificate_key r.key;", "$a ssl_certificate r.pem;", 'ssl_reject_handshake on;', 'ssl_certificate a.pem; ssl_certificate_key a.enc; ssl_password_file passwords;',
    'ssl_certificate a.pem; ssl_certificate_key a.enc; ssl_password_file wrong;', "$a ssl_password_file none;", "$a ssl_password_file passwords; ssl_password_file wrong;", "$a ssl_protocols TLSv1.2;", "$a ssl_protocols SSLv2 SSLv3 TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;", "$a ssl_protocols TLSv1.4;", "$a ssl_protocols;", "$a ssl_protocols TLSv1.2 TLSv1.2;",
    "$a ssl_ciphers nonsense;", "$a ssl_ciphers ALL;", "$a ssl_ciphers ALL ALL;", "$a ssl_prefer_server_ciphers maybe;", "$a ssl_ecdh_curve auto;", "$a ssl_ecdh_curve X25519:prime256v1;", "$a ssl_ecdh_curve nonsense;", "$a ssl_dhparam dh.pem;", "$a ssl_conf_command Options PrioritizeChaCha;", "$a ssl_conf_command Nonsense x;",
    "$a ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256;", "$a ssl_conf_command Options;", "$a ssl_buffer_size 4k;", "$a ssl_buffer_size x;", "$a ssl_session_cache off;", "$a ssl_session_cache none;", "$a ssl_session_cache builtin;", "$a ssl_session_cache builtin:100;", "$a ssl_session_cache builtin:x;",
    "$a ssl_session_cache shared:a:1m;", "$a ssl_session_cache builtin:100 shared:a:1m;", "$a ssl_session_cache shared:a:1k;", "$a ssl_session_cache shared:a;", "$a ssl_session_cache shared::1m;", "$a ssl_session_cache shared:a:x;", "$a ssl_session_cache nonsense;", "$a ssl_session_cache off off off;", "$a ssl_session_timeout 1h;", "$a ssl_session_timeout x;",
    "$a ssl_session_tickets off;", "$a ssl_session_tickets x;", "$a ssl_session_ticket_key t48;", "$a ssl_session_ticket_key t80; ssl_session_ticket_key t48;", "$a ssl_session_ticket_key t10;", "$a ssl_session_ticket_key t81;", "$a ssl_verify_client on;", "$a ssl_verify_client on; ssl_client_certificate ca.pem;",
    "$a ssl_verify_client optional_no_ca;", "$a ssl_verify_client optional; ssl_client_certificate ca.pem; ssl_crl ca.crl;", "$a ssl_verify_client x;", "$a ssl_trusted_certificate ca.pem;", "$a ssl_verify_depth 3;", "$a ssl_verify_depth x;", "$a location / { ssl_certificate a.pem; }", "$a ssl_stapling_x on;"),
    'ssl_session_cache shared:a:1m; server { ssl_session_cache shared:a:2m; }', "$a server { listen 25700; } server { listen 25701 ssl; }", "server { listen 25700 ssl default_server; $a } server { listen 25700; server_name b; }", "server { listen 25700; server_name b; } server { listen 25700 ssl; $a }",
    "server { listen 25700 ssl default_server; ssl_reject_handshake on; } server { listen 25700 ssl; server_name b; }", "server { listen 25700 ssl default_server; ssl_reject_handshake on; } server { listen 25700 ssl; server_name b; $a }", "server { listen 25700; ssl_certificate none.pem; ssl_certificate_key a.key; }", "server { listen 25700; ssl_verify_client on; }",
);
for my $text (@cases) {
    my ($n, $w) = map { said($_, $text) } $Weir::nginx, $weir;
    # weir names the whole path, and always the place where there is one
    s{"DIR/conf/([^"]*)"}{"$1"}g, s/^(\[emerg\] no "?ssl_cert\w*"?.*? certificate "[^"]*").*/$1/, s/(must be 48 or 80 bytes).*/$1/, s/^(\[emerg\] no ssl_client_certificate).*/$1/ for $n, $w;
    is($w, $n, $text);
}
done_testing;
