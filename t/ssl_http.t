# HTTPS to clients, beside nginx: which server is spoken to, whose certificate is asked for, what is said of it.
use lib 't/lib';
use Weir;
use Weir::Compare;
use Weir::Pem;

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->ca('other');
$pem->issue('server', by => 'ca', names => [qw(a.test b.test *.wild.test)])->issue('second', by => 'ca', names => ['second.test'], rsa => 1);
$pem->issue('client', by => 'ca')->issue('stranger', by => 'other')->issue('revoked', by => 'ca')->crl('ca', 'revoked');
$pem->issue('middle', by => 'ca', ca => 1)->issue('deep', by => 'middle');
$pem->write('deep.chain', $pem->read('deep.pem') . $pem->read('middle.pem'));
my %vars = (PEM => $pem->{dir});
my %files = ('html/big' => join('', map { chr(97 + $_ % 26) x ($_ % 70) . "\n" } 1 .. 10000), 'html/small' => "small\n");

sub secure { my ($w, %o) = @_; return $w->connect(%{ delete $o{conn} // {} }, ssl => { SSL_version => 'TLSv1_2', %o }) }
sub id { my $name = shift; return (SSL_cert_file => $pem->file($name eq 'deep' ? 'deep.chain' : "$name.pem"), SSL_key_file => $pem->file("$name.key")) }
# One request over TLS; undef when there is no handshake.
sub ask {
    my ($uri, %o) = @_;
    my $get = delete $o{get} // {};
    return sub { my $c = eval { secure($_[0], %o) } or return undef; return $c->get($uri, %$get) };
}
sub at { my ($sni, $host, %o) = @_; return ask('/', ($sni ? (SSL_hostname => $sni) : ()), %o, get => { headers => [Host => $host] }) }

my $conf = <<'EOC';
worker_processes 1;
events { }
http {
    ssl_certificate %%PEM%%/server.pem;
    ssl_certificate_key %%PEM%%/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    log_format ssl '$ssl_protocol $ssl_cipher $ssl_server_name $ssl_session_reused $ssl_client_verify $status';
    access_log %%TESTDIR%%/access.log ssl;
    root %%TESTDIR%%/html;
    server { listen 127.0.0.1:%%PORT_0%% ssl; server_name a.test;
        location / { return 200 "a $ssl_protocol $ssl_cipher $ssl_ciphers $ssl_server_name $ssl_session_reused $scheme $https [$ssl_client_verify]"; }
        location /none { return 200 "$ssl_client_cert$ssl_client_raw_cert$ssl_client_s_dn$ssl_client_serial$ssl_client_v_start$ssl_early_x-"; set $ssl_early_x ""; }
        location /redirect { return 301 /x; }
        location /alpn { return 200 "$ssl_alpn_protocol"; }
        location /length { return 200 "$request_length"; }
        location /big { } location /small { }
    }
    server { listen 127.0.0.1:%%PORT_0%%; server_name b.test; ssl_certificate %%PEM%%/second.pem; ssl_certificate_key %%PEM%%/second.key; return 200 "b $ssl_server_name"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name *.wild.test; return 200 "wild $ssl_server_name"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name ~^(?<who>\w+)\.regex\.test$; return 200 "regex $who $1"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name on.test on2.test; ssl_verify_client on; ssl_client_certificate %%PEM%%/ca.pem; error_page 495 496 /wrong; location /wrong { return 400 "wrong $ssl_client_verify $status"; }
        location / { return 200 "on $ssl_client_verify $ssl_client_s_dn $ssl_client_i_dn $ssl_client_s_dn_legacy $ssl_client_i_dn_legacy $ssl_client_serial $ssl_client_fingerprint $ssl_client_v_start $ssl_client_v_end $ssl_client_v_remain"; }
        location /pem { return 200 "$ssl_client_cert"; } location /raw { return 200 "$ssl_client_raw_cert"; } location /escaped { return 200 "$ssl_client_escaped_cert"; } }
    server { listen 127.0.0.1:%%PORT_0%%; server_name optional.test; ssl_verify_client optional; ssl_client_certificate %%PEM%%/ca.pem; return 200 "optional $ssl_client_verify"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name noca.test; ssl_verify_client optional_no_ca; return 200 "noca $ssl_client_verify"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name crl.test; ssl_verify_client on; ssl_client_certificate %%PEM%%/ca.pem; ssl_crl %%PEM%%/ca.crl; return 200 "crl $ssl_client_verify"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name depth.test; ssl_verify_client optional; ssl_client_certificate %%PEM%%/ca.pem; ssl_verify_depth 2; return 200 "depth $ssl_client_verify"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name depth0.test; ssl_verify_client optional; ssl_client_certificate %%PEM%%/ca.pem; ssl_verify_depth 0; return 200 "depth $ssl_client_verify"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name shallow.test; ssl_verify_client optional; ssl_client_certificate %%PEM%%/ca.pem; return 200 "shallow $ssl_client_verify"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name never.test; ssl_reject_handshake on; return 200 never; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; error_page 497 @plain; location @plain { return 200 "497 $status $scheme"; } }
    server { listen 127.0.0.1:%%PORT_2%% ssl default_server; ssl_reject_handshake on; }
    server { listen 127.0.0.1:%%PORT_2%% ssl; server_name good.test; return 200 good; }
    server { listen 127.0.0.1:%%PORT_3%% ssl; server_name a.test; error_page 497 https://$host$request_uri; return 200 "a"; }
    server { listen 127.0.0.1:%%PORT_4%% ssl; ssl_verify_client on; ssl_client_certificate %%PEM%%/ca.pem; return 200 "default $ssl_client_verify"; }
    server { listen 127.0.0.1:%%PORT_4%% ssl; server_name else.test; ssl_verify_client on; ssl_client_certificate %%PEM%%/other.pem; return 200 "else $ssl_client_verify"; }
    server { listen 127.0.0.1:%%PORT_5%%; return 200 "plain [$ssl_protocol$ssl_client_verify] $scheme [$https]"; }
}
EOC
$conf =~ s/\$ssl_early_x-"; set \$ssl_early_x "";/-";/;
my $get = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
sub plainly { my ($port, $bytes) = @_; return sub { my $c = $_[0]->connect(port => $port); $c->send($bytes); return $c->response } }
my @list = (
    'no name' => ask('/'), 'its name' => at('a.test', 'a.test'), 'nothing of a client' => ask('/none'), 'TLS 1.3' => at('a.test', 'a.test', SSL_version => 'TLSv1_3'),
    'redirect' => ask('/redirect'), 'redirect with host' => ask('/redirect', get => { headers => [Host => 'a.test:99'] }), 'alpn' => ask('/alpn', SSL_alpn_protocols => ['http/1.1']), 'alpn, not ours' => ask('/alpn', SSL_alpn_protocols => ['spdy/1']),
    'no alpn' => ask('/alpn'), 'alpn of several' => ask('/alpn', SSL_alpn_protocols => ['spdy/1', 'http/1.0', 'http/1.1']), 'big' => ask('/big'), 'small' => ask('/small'), 'range' => ask('/big', get => { headers => [Host => 'x', Range => 'bytes=100000-100010'] }), 'length' => ask('/length'),
    'another name' => at('b.test', 'b.test'), 'Host of another' => at('a.test', 'b.test'), 'name of another' => at('b.test', 'a.test'), 'unknown name' => at('zz.test', 'b.test'), 'unknown Host' => at('b.test', 'zz.test'),
    'in capitals' => at('B.tEsT', 'b.test'), 'dot at the end' => at('b.test.', 'b.test.'), 'wildcard' => at('x.wild.test', 'x.wild.test'), 'regex' => at('joe.regex.test', 'joe.regex.test'), 'regex by Host' => at('a.test', 'joe.regex.test'),
    'no Host, HTTP/1.0' => sub { my $c = secure($_[0], SSL_hostname => 'b.test'); $c->send("GET / HTTP/1.0\r\n\r\n"); $c->response },
    'bad request' => sub { my $c = secure($_[0], SSL_hostname => 'b.test'); $c->send("GET\r\n\r\n"); $c->response },
    'two requests' => sub { my $c = secure($_[0]); $c->get('/small'); $c->get('/') },
    'pipelined' => sub { my $c = secure($_[0]); $c->send("GET /small HTTP/1.1\r\nHost: a\r\n\r\nGET /alpn HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); $c->response; $c->response },
    'plain HTTP' => $get, 'plain HTTP, no Host' => "GET / HTTP/1.1\r\n\r\n", 'plain rubbish' => "rubbish\r\n\r\n", 'plain HTTP, a name that verifies' => "GET / HTTP/1.1\r\nHost: on.test\r\nConnection: close\r\n\r\n",
    'plain HTTP, error_page' => plainly(1, $get), 'plain HTTP, redirected' => plainly(3, "GET /x?y HTTP/1.1\r\nHost: a.test\r\n\r\n"), 'plain HTTP where it belongs' => plainly(5, $get),
    'verify on, good' => at('on.test', 'on.test', id('client')), 'verify on, none' => at('on.test', 'on.test'), 'verify on, stranger' => at('on.test', 'on.test', id('stranger')), 'verify on, TLS 1.3' => at('on.test', 'on.test', id('client'), SSL_version => 'TLSv1_3'),
    (map { ("certificate $_" => ask($_, SSL_hostname => 'on.test', id('client'), get => { headers => [Host => 'on.test'] })) } qw(/pem /raw /escaped)),
    'verified by Host only, no certificate' => at('a.test', 'on.test'), 'verified by Host only, no name' => at('', 'on.test'), 'verified by Host only, certificate' => at('a.test', 'on.test', id('client')),
    'its other name' => at('on.test', 'on2.test', id('client')), 'verified, Host of another' => at('on.test', 'a.test', id('client')), 'verified, Host of another that verifies' => at('optional.test', 'on.test', id('client')), 'verified, unknown Host' => at('on.test', 'zz.test', id('client')),
    'optional, good' => at('optional.test', 'optional.test', id('client')), 'optional, none' => at('optional.test', 'optional.test'), 'optional, stranger' => at('optional.test', 'optional.test', id('stranger')),
    'no ca, good' => at('noca.test', 'noca.test', id('client')), 'no ca, stranger' => at('noca.test', 'noca.test', id('stranger')), 'no ca, none' => at('noca.test', 'noca.test'),
    'crl, good' => at('crl.test', 'crl.test', id('client')), 'crl, revoked' => at('crl.test', 'crl.test', id('revoked')), 'not looked up' => at('on.test', 'on.test', id('revoked')),
    'depth' => at('depth.test', 'depth.test', id('deep')), 'too deep' => at('shallow.test', 'shallow.test', id('deep')), 'depth 0, too deep' => at('depth0.test', 'depth0.test', id('deep')), 'depth 0' => at('depth0.test', 'depth0.test', id('client')),
    'rejected' => at('never.test', 'never.test'), 'rejected by default' => ask('/', conn => { port => 2 }), 'rejected by default, unknown' => at('x.test', 'good.test', conn => { port => 2 }), 'not rejected' => at('good.test', 'good.test', conn => { port => 2 }),
    'default verifies, good' => ask('/', id('client'), conn => { port => 4 }), 'default verifies, none' => ask('/', conn => { port => 4 }), 'default verifies, else' => at('else.test', 'else.test', id('stranger'), conn => { port => 4 }),
    'without a name, a server that trusts others' => at('', 'else.test', id('client'), conn => { port => 4 }),
);
my @w = Weir->compare($conf, \@list, vars => \%vars, files => \%files, ignore => ['etag'],
    differ => { 'without a name, a server that trusts others' => 'whom the default server trusts says nothing to another one' });
my $lines = sub { my $t = $_[0]->access_log; return $t =~ tr/\n// };
ok(wait_for(sub { $lines->($w[0]) == $lines->($w[1]) }), 'as many lines in the access logs');
my @logs = map { join "\n", grep { !/ - \. SUCCESS / } split /\n/, $_->access_log } @w;     # but for what differs
is($logs[1], $logs[0], 'the access logs');
my $is = at('', 'else.test', id('client'), conn => { port => 4 })->($w[1]);
is($is->status, 421, 'misdirected');
for my $what ('client sent plain HTTP request to HTTPS port while reading client request headers', 'client sent no required SSL certificate while reading client request headers', 'client SSL certificate verify error: \(\d+:[^)]+\) while reading client request headers',
    'client attempted to request the server name different from the one that was negotiated while reading client request headers', 'handshake rejected while SSL handshaking', 'SSL_do_handshake\(\) failed \(SSL: error:[^)]*\) while SSL handshaking') {
    like($_->error_log, qr/\[info\] .*$what, client: 127\.0\.0\.1/, $_->name . " says: $what") for @w;
}
done_testing;
