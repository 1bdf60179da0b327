# The test library itself: with nginx in weir's place, so that what the other tests stand on is known to hold.
use lib 't/lib';
use Weir;

plan(skip_all => 'nginx is not installed') unless -x $Weir::nginx;

my $b = Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    return "hello " . $req->uri . ' ' . $req->body if $req->uri =~ m{^/plain};
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n" if $req->uri eq '/chunked';
    return [418, [X => 1, X => 2], 'tea'] if $req->uri eq '/list';
    $conn->send("HTTP/1.1 200 OK\r\n\r\nuntil close");
    $conn->close;
    return;
});

my $conf = <<'EOC';
worker_processes 2;
events { worker_connections 64; }
http {
    upstream u { server %%BACKEND%%; keepalive 4; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /file/ { root %%TESTDIR%%; }
        location /go { return 302 http://127.0.0.1:%%PORT_0%%/there; }
    }
    server { listen 127.0.0.1:%%PORT_1%%; return 204; }
}
EOC
my %more = (vars => { BACKEND => $b->addr }, files => { 'file/a.txt' => "text\n" });

my $w = Weir->new(conf => $conf, binary => $Weir::nginx, daemon => 1, %more)->start;
my ($code, $said) = $w->t_binary;
is($code, 0, '-t');
like($said, qr/test is successful/, '-t says so');

my $r = $w->get('/plain');
is($r->status, 200, 'status');
is($r->body, 'hello /plain ', 'body by length');
is($r->framing, 'length', 'framing');
ok($r->complete, 'complete');
is($w->get('/plain', method => 'POST', body => 'x' x 100000)->body, 'hello /plain ' . 'x' x 100000, 'a request with a body');
is($w->get('/plain', method => 'HEAD')->body, '', 'HEAD');
$r = $w->get('/chunked');
is($r->body, 'abcde', 'chunks joined');
is($r->framing, 'chunked', 'framing');
$r = $w->get('/list');
is($r->status, 418, 'status of a list');
is_deeply([$r->header('x')], [1, 2], 'both headers');
is($w->get('/close', version => '1.0')->body, 'until close', 'body until close');
is($w->get('/', port => 1)->status, 204, 'the second port');

my $c = $w->connect;
is($c->get("/plain/$_")->body, "hello /plain/$_ ", "keep-alive $_") for 1 .. 3;
$c->send("GET /plain/a HTTP/1.1\r\nHost: x\r\n\r\nGET /plain/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
is($c->response->body, 'hello /plain/a ', 'pipelined, first');
is($c->response->body, 'hello /plain/b ', 'pipelined, second');
ok($c->closed, 'closed by the server');
is($c->response, undef, 'nothing more');
$c->close;

cmp_ok($b->connections, '>=', 1, 'connections counted');
is(scalar(grep { $_->[0] eq 'req' && $_->[4] eq '/plain/2' } $b->log), 1, 'requests logged');
my @lines = $w->wait_access(8);
like($lines[0], qr{"GET /plain HTTP/1.1" 200}, 'access log');
like($w->error_log, qr/start worker process/, 'error log');

my @before = sort $w->workers;
is(@before, 2, 'two workers');
ok($w->reload, 'reload');
my %old = map { ($_ => 1) } @before;
is(scalar(grep { $old{$_} } $w->workers), 0, 'new workers');
is($w->get('/plain')->status, 200, 'serves after a reload');
$w->expect_log(qr/unknown directive "nonsense"/);
$w->write_conf("$conf\nnonsense;\n");
ok(!$w->reload, 'a reload that is refused');
$w->write_conf($conf);
my $master = $w->pid;
isnt($w->upgrade, undef, 'upgrade');
isnt($w->pid, $master, 'another master');
$w->signal(QUIT => $master);
ok(wait_for(sub { !Weir::alive($master) }), 'the old master left');
is($w->get('/plain')->status, 200, 'serves after an upgrade');
ok($w->stop, 'stop');

$b->stop;
$b->start;
my $odd = 0;
{
    local $ENV{WEIR_BINARY} = $Weir::nginx;
    Weir->compare($conf, [
        'proxied'   => "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n",
        'chunked'   => "GET /chunked HTTP/1.1\r\nHost: x\r\n\r\n",
        'file'      => "GET /file/a.txt HTTP/1.1\r\nHost: x\r\n\r\n",
        'redirect'  => "GET /go HTTP/1.1\r\nHost: x\r\n\r\n",
        'not found' => "GET /file/none HTTP/1.1\r\nHost: x\r\n\r\n",
        'unlike'    => sub { my $w = shift; my $r = $w->get('/go'); $r->{status} += !$odd++; $r },
    ], %more, differ => { 'unlike' => 'one was told to' });
}
done_testing;
