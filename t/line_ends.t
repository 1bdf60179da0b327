# A line end that a decoded uri brings into a header value never reaches client or upstream (RFC 9110 5.5, RFC 9112 3.2).
use lib 't/lib';
use Weir;

my @seen;
my $up = Weir::Backend->new(sub { my $req = shift; return [200, ['Content-Type', 'text/plain', 'X-Uri', $req->uri, 'X-Got', $req->header('X-Path') // 'none', 'X-Evil-Seen', $req->header('X-Evil') // 'no'], 'ok'] });
my $w = Weir->new(conf => <<'EOC', vars => { UP => $up->addr })->start;
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /redirect { return 301 https://example.com$uri; }
        location /header { add_header X-Uri $uri; add_header X-Fine yes; return 200 fine; }
        location /set { proxy_set_header X-Path $uri; proxy_pass http://%%UP%%/; }
        location /target { proxy_pass http://%%UP%%$uri; }
    }
}
EOC
my $evil = '%0d%0aX-Evil:%201';
my $m = $w->get("/redirect/$evil");
is($m->header('Location'), 'https://example.com/redirect/%0D%0AX-Evil: 1', 'a location has it encoded');
is($m->header('X-Evil'), undef, 'no field of the client\'s making');
$m = $w->get("/header/$evil");
is($m->header('X-Evil'), undef, 'nor by add_header');
is($m->header('X-Uri'), undef, 'the field is not sent');
is($m->header('X-Fine'), 'yes', 'the others are');
is($w->get('/header/a')->header('X-Uri'), '/header/a', 'a clean one is');
$m = $w->get("/set/$evil");
is($m->header('X-Evil-Seen'), 'no', 'nor to the upstream');
is($m->header('X-Got'), 'none', 'the field is not sent');
is($w->get('/set/a')->header('X-Got'), '/set/a', 'a clean one is');
$m = $w->get("/target/$evil");
is($m->header('X-Evil-Seen'), 'no', 'nor by the target');
is($m->header('X-Uri'), '/target/%0D%0AX-Evil:%201', 'which has it encoded');
like($w->error_log, qr/a value with a line end is not sent in the response field "X-Uri"/, 'said in the log');
like($w->error_log, qr/a value with a line end is not sent in the request field "X-Path"/, 'of requests too');
done_testing;
