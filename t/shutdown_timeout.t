# worker_shutdown_timeout: what is cut off then is told: a line in the error log, and each request its line in the access log.
use lib 't/lib';
use Weir;

my $hang = Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    $conn->send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n") if $req->uri eq '/tunnel';
    return undef;
});
my $w = Weir->new(conf => <<'EOC', vars => { BACKEND => $hang->addr }, files => { 'html/big' => 'x' x 20_000_000 })->start;
worker_shutdown_timeout 100ms;
events { }
http {
    log_format short '$request_uri $status';
    access_log %%TESTDIR%%/access.log short;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location = /hang { proxy_pass http://%%BACKEND%%; }
        location = /tunnel { proxy_pass http://%%BACKEND%%; proxy_http_version 1.1; proxy_set_header Upgrade x; proxy_set_header Connection upgrade; }
    }
}
EOC
my @c = map { $w->connect } 0 .. 4;
$c[0]->send("GET /hang HTTP/1.1\r\nHost: x\r\n\r\n");
$c[1]->send("GET /half HTTP/1.1\r\nHost: x\r\n");
$c[2]->send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
is($c[3]->get('/none')->status, 404, 'a connection that is idle after its request');
$c[4]->send("GET /tunnel HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
like($c[4]->line, qr{^HTTP/1.1 101 }, 'a tunnel');
like($c[2]->line, qr{^HTTP/1.1 200 }, 'a response on its way');
ok(wait_for(sub { $hang->requests == 2 }), 'a request that waits for its backend');
ok($w->stop('QUIT'), 'QUIT ends it');
is(join(' ', sort split /\n/, $w->access_log), '/big 200 /half 499 /hang 499 /none 404 /tunnel 101', 'each request has its line in the access log');
is(scalar(() = $w->error_log =~ /\[notice\] .*worker_shutdown_timeout: \d+ connections are cut off/g), 1, 'and all together one in the error log');
done_testing;
