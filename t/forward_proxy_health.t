# Parents that stand in an upstream group with health_check: one that lives, but leads nowhere, is taken out before a client is told so.
use lib 't/lib';
use Weir;

my $origin = Weir::Backend->new(sub { my $req = shift; return 'origin, by ' . join ' ', $req->head =~ /^Via: 1\.1 (\S+)\r$/mg });
my $state = Weir::scratch() . '/state';
sub state { my $now = shift; Weir::slurp($state) eq $now or do { open my $o, '>', "$state.new" or die $!; print $o $now; close $o; rename "$state.new", $state or die $! } }
&state('lame');
# An HTTP proxy that is connected to nothing while it is lame, and answers all it is asked for by itself.
my $lame = Weir::Backend->new(sub {
    my ($req) = @_;
    return [Weir::slurp($state) eq 'lame' ? 503 : 200, ['Content-Type' => 'text/plain'], 'asked for ' . $req->uri . ' login ' . ($req->header('Proxy-Authorization') // 'none')];
});
my $w = Weir->new(vars => { ORIGIN => $origin->port, LAME => $lame->port }, conf => <<'EOC')->start;
events { }
http {
    log_format f '$status|$forward_proxy_address|$request';
    access_log %%TESTDIR%%/access.log f;
    forward_proxy_ports all;
    forward_proxy_address allow loopback;
    forward_proxy_access allow all;
    upstream company { zone company 256k; server 127.0.0.1:%%PORT_1%%; server 127.0.0.1:%%LAME%%; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        forward_proxy on;
        forward_proxy_via front;
        forward_proxy_parent http://company login=weir:secret;
        location = /check-company {
            internal;
            proxy_pass http://company;
            proxy_set_header Proxy-Authorization "Basic d2VpcjpzZWNyZXQ=";
            health_check interval=100ms uri=http://127.0.0.1:%%ORIGIN%%/alive mandatory;
        }
    }
    server { listen 127.0.0.1:%%PORT_1%%; access_log %%TESTDIR%%/parent.log f; forward_proxy on; forward_proxy_via behind; }
    server { listen 127.0.0.1:%%PORT_2%%; location /api { api; } }
}
EOC
my $url = 'http://127.0.0.1:' . $origin->port . '/';
sub peers { return $w->get('/api/9/http/upstreams/company', port => $w->port(2))->body }
sub states { return join ' ', peers() =~ /"state": ?"(\w+)"/g }
sub ask { my $c = $w->connect; $c->send("GET $url HTTP/1.1\r\nHost: x\r\n\r\n"); return $c->response }
ok(wait_for(sub { states() eq 'up unhealthy' }), 'the lame one is found out') or diag peers();
is(join(' ', map { ask()->status } 1 .. 10), join(' ', (200) x 10), 'no client is led to it');
like(ask()->body, qr/^origin, by front behind$/, 'but through the other');
ok($w->wait_error(qr/127\.0\.0\.1:@{[$lame->port]}.*unhealthy|unhealthy.*127\.0\.0\.1:@{[$lame->port]}/s), 'the log tells');
ok(wait_for(sub { Weir::slurp($w->dir . '/parent.log') =~ m{^200\|127\.0\.0\.1:\d+\|GET \Q$url\Ealive HTTP/1\.1}m }), 'a parent is asked for the whole URL, and led there');
&state('well');
ok(wait_for(sub { states() eq 'up up' }), 'back again');
ok(wait_for(sub { ask()->body =~ /^asked for \Q$url\E login Basic d2VpcjpzZWNyZXQ=$/ }), 'and asked, by our user');
unlike($w->error_log, qr/secret|d2VpcjpzZWNyZXQ/, 'no secrets in the log');
like((Weir->new(conf => "events { } http { upstream u { zone u 256k; server 127.0.0.1:9; } server { listen 127.0.0.1:%%PORT_0%%; location / { proxy_pass http://u; health_check uri=ftp://x/; } } }")->t_binary)[1],
    qr/invalid parameter "uri=ftp:/, 'nothing but http');
done_testing;
