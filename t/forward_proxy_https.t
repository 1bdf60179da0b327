# https:// in absolute form: the forward proxy speaks TLS to the origin, with certificates looked at; directly and through parents.
use lib 't/lib';
use Weir;
use Weir::Pem;

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->ca('other');
$pem->issue('origin', by => 'ca', names => [qw(localhost 127.0.0.1)])->issue('misnamed', by => 'ca', names => ['other.test'])->issue('client', by => 'ca');
my $w = Weir->new(vars => { PEM => $pem->{dir} }, conf => <<'EOC')->start;
worker_processes 1;
events { }
http {
    log_format fwd '$status|$forward_proxy_rule|$forward_proxy_port|$request';
    access_log off;
    forward_proxy_ports all;
    forward_proxy_address allow loopback;
    forward_proxy_ssl_trusted_certificate %%PEM%%/ca.pem;
    ssl_certificate %%PEM%%/origin.pem; ssl_certificate_key %%PEM%%/origin.key;
    server { listen 127.0.0.1:%%PORT_1%% ssl; ssl_verify_client optional_no_ca; return 200 "$scheme [$ssl_server_name] $http_host $request_uri $connection_requests $ssl_client_verify $http_via"; }
    server { listen 127.0.0.1:%%PORT_2%% ssl; ssl_certificate %%PEM%%/misnamed.pem; ssl_certificate_key %%PEM%%/misnamed.key; return 200 "misnamed"; }
    server { listen 127.0.0.1:%%PORT_3%%; return 200 plain; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        access_log %%TESTDIR%%/access.log fwd;
        forward_proxy on;
        forward_proxy_via front;
        forward_proxy_access deny name=secret scheme=https path=/secret;
        forward_proxy_access deny name=url url=~^https://localhost:\d+/by-url;
        forward_proxy_access allow all;
        location /stranger { forward_proxy_ssl_trusted_certificate %%PEM%%/other.pem; }
        location /system { forward_proxy_ssl_trusted_certificate ""; }
        location /unverified { forward_proxy_ssl_verify off; }
        location /named { forward_proxy_ssl_name other.test; }
        location /client { forward_proxy_ssl_certificate %%PEM%%/client.pem; forward_proxy_ssl_certificate_key %%PEM%%/client.key; }
        location /http { forward_proxy_parent http://127.0.0.1:%%PORT_4%%; }
        location /https { forward_proxy_parent https://localhost:%%PORT_5%%; forward_proxy_parent_ssl_trusted_certificate %%PEM%%/ca.pem; }
        location /socks { forward_proxy_parent socks5://127.0.0.1:%%PORT_6%%; }
    }
    server {
        listen 127.0.0.1:%%PORT_4%%; listen 127.0.0.1:%%PORT_5%% ssl; listen 127.0.0.1:%%PORT_6%% socks;
        access_log %%TESTDIR%%/parent.log fwd;
        forward_proxy on; forward_proxy_via behind; forward_proxy_access allow all;
    }
}
EOC
my ($tls, $wrong, $plain) = map { $w->port($_) } 1, 2, 3;
sub ask { my ($what, @fields) = @_; my $c = $w->connect(port => $w->port(0)); $c->send(join "\r\n", "$what HTTP/1.1", 'Host: ignored.example', @fields, '', ''); return $c->response(method => $what =~ /^(\S+)/) }

is(ask("GET https://localhost:$tls/a?b")->body, "https [localhost] localhost:$tls /a?b 1 NONE 1.1 front", 'a name: told and looked at');
is(ask("GET https://localhost:$tls/a")->body, "https [localhost] localhost:$tls /a 2 NONE 1.1 front", 'the connection is kept');
is(ask("GET https://127.0.0.1:$tls/a")->body, "https [] 127.0.0.1:$tls /a 1 NONE 1.1 front", 'an address: another connection, and no name is told (RFC 6066 3)');
is(ask("GET HTTPS://LOCALHOST:$tls/")->status, 200, 'in capitals');
is(ask("GET https://localhost:$wrong/")->status, 502, 'a certificate of another name');
ok($w->wait_error(qr/certificate.*while SSL handshaking to upstream.*GET https:\/\/localhost:$wrong/), 'in the log');
is(ask("GET https://localhost:$tls/stranger")->status, 502, 'of an authority that is not trusted');
is(ask("GET https://localhost:$tls/system")->status, 502, 'nor by the system');
is(ask("GET https://localhost:$wrong/unverified")->body, 'misnamed', 'not looked at');
is(ask("GET https://localhost:$wrong/named")->body, 'misnamed', 'another name');
is(ask("GET https://localhost:$plain/")->status, 502, 'no TLS there');
like(ask("GET https://localhost:$tls/client")->body, qr/SUCCESS|FAILED/, 'a certificate of our own');
like(ask("GET https://localhost:$tls/secret")->body, qr/rule "secret"/, 'rules know scheme and path');
like(ask("GET https://localhost:$tls/by-url")->body, qr/rule "url"/, 'and the url');
is(ask('GET https://127.0.0.1/')->status, 502, 'port 443 where none is given');
ok(wait_for(sub { $w->access_log =~ m{^502\|3\|443\|GET https://127\.0\.0\.1/ }m }), 'says the log');
is(ask("GET http://localhost:$plain/")->body, 'plain', 'http stays http');

# ---- through parents
sub parents { my $re = shift; return wait_for(sub { $w->access_log('parent.log') =~ $re }) }
like(ask("GET https://localhost:$tls/http")->body, qr{^https \[localhost\] localhost:$tls /http \d NONE 1\.1 front$}, 'through an HTTP parent: a tunnel, TLS is ours');
like(ask("GET https://localhost:$tls/socks")->body, qr{^https \[localhost\] localhost:$tls /socks \d NONE 1\.1 front$}, 'through a SOCKS parent');
like(ask("GET https://localhost:$tls/https")->body, qr{^https \[localhost\] localhost:$tls /https \d NONE 1\.1 front, 1\.1 behind$}, 'an HTTPS parent fetches it');
like(ask("GET https://localhost:$wrong/http")->status, qr/502/, 'the certificate is looked at in tunnels, too');
is(ask("GET https://localhost:$tls/http")->status, 200, 'again');
ok(parents(qr{^200\|1\|$tls\|GET https://localhost:$tls/https }m), 'the HTTPS parent was asked for the URL');
$w->stop;
is(scalar(() = $w->access_log('parent.log') =~ /\|CONNECT localhost:$tls /g), 2, 'the others for tunnels, which are kept');
done_testing;
