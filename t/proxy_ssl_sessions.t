# Sessions with proxied servers are resumed by every worker, whichever has made them; not by whom they do not belong to.
use lib 't/lib';
use Weir;
use Weir::Pem;

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('a', by => 'ca', names => ['a.test', 'b.test'])->issue('client', by => 'ca');
my $w = Weir->new(files => { map { $_ => $pem->read($_) } qw(ca.pem a.pem a.key client.pem client.key) }, conf => <<'EOC')->start;
worker_processes 4;
events { }
http {
    ssl_certificate a.pem; ssl_certificate_key a.key; ssl_session_cache shared:s:1m;
    proxy_ssl_trusted_certificate ca.pem; proxy_ssl_server_name on; proxy_ssl_name a.test; proxy_http_version 1.0; 
    server { listen 127.0.0.1:%%PORT_0%%; keepalive_timeout 0; add_header X-Front $pid;
        location /tls13 { proxy_pass https://127.0.0.1:%%PORT_1%%; }
        location /verify { proxy_pass https://127.0.0.1:%%PORT_1%%; proxy_ssl_verify on; }
        location /name { proxy_pass https://127.0.0.1:%%PORT_1%%; proxy_ssl_name b.test; }
        location /off { proxy_pass https://127.0.0.1:%%PORT_1%%; proxy_ssl_session_reuse off; }
        location /tls12 { proxy_pass https://127.0.0.1:%%PORT_2%%; }
        location /ids { proxy_pass https://127.0.0.1:%%PORT_3%%; }
        location /shown { proxy_pass https://127.0.0.1:%%PORT_4%%; proxy_set_header Host a.test; proxy_ssl_certificate client.pem; proxy_ssl_certificate_key client.key; }
        location /hidden { proxy_pass https://127.0.0.1:%%PORT_4%%; proxy_set_header Host a.test; }
        location /short { proxy_pass https://127.0.0.1:%%PORT_5%%; }
    }
    server { listen 127.0.0.1:%%PORT_1%% ssl; return 200 "$ssl_session_reused $ssl_protocol $ssl_server_name"; }
    server { listen 127.0.0.1:%%PORT_2%% ssl; ssl_protocols TLSv1.2; return 200 "$ssl_session_reused $ssl_protocol $ssl_server_name"; }
    server { listen 127.0.0.1:%%PORT_3%% ssl; ssl_protocols TLSv1.2; ssl_session_tickets off; return 200 "$ssl_session_reused $ssl_protocol $ssl_server_name"; }
    server { listen 127.0.0.1:%%PORT_4%% ssl; ssl_verify_client optional; ssl_client_certificate ca.pem; return 200 "$ssl_session_reused $ssl_client_verify"; }
    server { listen 127.0.0.1:%%PORT_5%% ssl; ssl_session_timeout 1s; return 200 "$ssl_session_reused"; }
}
EOC
$w->wait_workers(4);
my %front;
sub ask { my $r = $w->get($_[0]); $front{ $r->header('X-Front') // '' }++; return $r->body }
sub many { my ($uri, $n) = @_; %front = (); my %seen; $seen{ ask($uri) }++ for 1 .. $n; return join ', ', map { "$seen{$_} $_" } sort keys %seen }
for (['/tls13', 'TLSv1.3'], ['/tls12', 'TLSv1.2'], ['/ids', 'TLSv1.2']) {
    my ($uri, $protocol) = @$_;
    is(many($uri, 40), "1 . $protocol a.test, 39 r $protocol a.test", "$uri: of 40 connections the first alone is not resumed");
    cmp_ok(scalar keys %front, '>=', 2, "$uri: by several workers (" . join(' ', values %front) . ')');
}
is(many('/off', 6), '6 . TLSv1.3 a.test', 'off: none is resumed');
is(ask('/verify'), '. TLSv1.3 a.test', 'who verifies does not resume what was not verified');
is(ask('/verify'), 'r TLSv1.3 a.test', 'but its own');
is(ask('/name'), '. TLSv1.3 b.test', 'nor does one session serve another name');
is(ask('/name'), 'r TLSv1.3 b.test', 'but its own');
is(ask('/shown'), '. SUCCESS', 'with a certificate shown');
is(ask('/hidden'), '. NONE', 'who shows none does not resume that');
is(ask('/shown'), 'r SUCCESS', 'who shows it does');
is(ask('/short'), '.', 'a session of one second');
is(ask('/short'), 'r', 'is resumed');
my $since = time;
wait_for(sub { time > $since + 2 });
is(ask('/short'), '.', 'and not after it');

my ($victim) = $w->workers;
$w->expect_log(qr/exited on signal 9/);
kill KILL => $victim;
ok(wait_for(sub { my @now = $w->workers; @now == 4 && !grep { $_ == $victim } @now }), 'a worker dies');
is(many('/tls13', 20), '20 r TLSv1.3 a.test', 'the one in its place resumes as well');
ok($w->reload, 'a reload');
is(ask('/tls13'), '. TLSv1.3 a.test', 'after which settings may be others: what was agreed on before is not resumed');
is(ask('/tls13'), 'r TLSv1.3 a.test', 'but once more');
done_testing;
