# Every way an upstream can fail: what the client gets, what the log says, who is asked next.
use lib 't/lib';
use Weir;

# What the backend does is in the uri: /NAME or /NAME/whatever.
sub wait_close { my $conn = shift; $conn->{timeout} = 30; $conn->rest; $conn->close; return undef }
my %does = (
    ok        => sub { 'ok' },
    silent    => sub { wait_close($_[1]) },
    close     => sub { $_[1]->close; undef },
    reset     => sub { $_[1]->reset; undef },
    garbage   => sub { $_[1]->send("what is this?\r\n\r\n"); wait_close($_[1]) },
    badfield  => sub { $_[1]->send("HTTP/1.1 200 OK\r\nX-A: b\r\nX-No-Colon\r\n\r\n"); wait_close($_[1]) },
    nul       => sub { $_[1]->send("HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 0\r\n\r\n"); wait_close($_[1]) },
    twolen    => sub { $_[1]->send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"); wait_close($_[1]) },
    lenchunk  => sub { $_[1]->send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"); wait_close($_[1]) },
    halfhead  => sub { $_[1]->send("HTTP/1.1 200 OK\r\nX-A"); $_[1]->close; undef },
    slowhead  => sub { $_[1]->send("HTTP/1.1 200 OK\r\nX-A"); wait_close($_[1]) },
    bighead   => sub { $_[1]->send("HTTP/1.1 200 OK\r\nX-A: " . 'x' x 5000 . "\r\n\r\n"); wait_close($_[1]) },
    upgrade   => sub { $_[1]->send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"); wait_close($_[1]) },
    short     => sub { $_[1]->send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"); $_[1]->close; undef },
    badchunk  => sub { $_[1]->send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"); wait_close($_[1]) },
    cutchunk  => sub { $_[1]->send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"); $_[1]->close; undef },
    slowbody  => sub { $_[1]->send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"); wait_close($_[1]) },
    toomuch   => sub { $_[1]->send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more"); wait_close($_[1]) },
    map { my $n = $_; ("s$n" => sub { [$n, [], "status $n"] }) } 403, 404, 429, 500, 502, 503, 504,
);
sub act { my ($req, $conn) = @_; my ($name) = $req->uri =~ m{^/(\w+)}; return ($does{$name} // $does{ok})->($req, $conn) }

my $bad = Weir::Backend->new(\&act);
my $good = Weir::Backend->new(sub { 'good ' . $_[0]->method . ' ' . $_[0]->body });
my $dead = Weir::free_port();
my $w = Weir->new(vars => { BAD => $bad->addr, GOOD => $good->addr, DEAD => "127.0.0.1:$dead" }, conf => <<'EOC')->start;
events { }
http {
    proxy_read_timeout 300ms;
    log_format tries "$request_method $uri $status $upstream_addr $upstream_status";
    access_log access.log tries;
    upstream one { server %%BAD%% max_fails=0; }
    upstream pair { server %%BAD%% max_fails=0 weight=100; server %%GOOD%% max_fails=0; }
    upstream spare { server %%BAD%% max_fails=0; server %%GOOD%% backup; }
    upstream dead { server %%DEAD%%; server %%DEAD%% backup; }
    upstream half { server %%DEAD%%; server %%GOOD%%; }
    upstream nobody { server %%GOOD%% down; }
    upstream nowhere { server no-such-name.invalid; server %%GOOD%%; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /one/ { proxy_pass http://one/; }
        location /pair/ { proxy_pass http://spare/; proxy_next_upstream error timeout invalid_header http_500 http_502 http_503 http_504 http_403 http_404 http_429; }
        location /twice/ { proxy_pass http://spare/; proxy_next_upstream error timeout non_idempotent; }
        location /never/ { proxy_pass http://spare/; proxy_next_upstream off; }
        location /tries/ { proxy_pass http://spare/; proxy_next_upstream_tries 1; }
        location /late/ { proxy_pass http://spare/; proxy_next_upstream_timeout 100ms; }
        location /stream/ { proxy_pass http://spare/; proxy_request_buffering off; proxy_next_upstream error timeout non_idempotent; }
        location /dead/ { proxy_pass http://dead/; }
        location /half/ { proxy_pass http://half/; }
        location /nobody/ { proxy_pass http://nobody/; }
        location /nowhere/ { proxy_pass http://nowhere/; }
        location /var/ { proxy_pass http://$arg_to/x; }
        location /page/ { error_page 502 504 /sorry; proxy_pass http://one/; }
        location = /sorry { return 200 "sorry"; }
    }
}
EOC

sub try_one { my ($uri, $status, $log, $name) = @_;
    my $m = $w->get($uri);
    is($m && $m->status, $status, "$name: $status");
    ok($w->wait_error($log), "$name: the log says so") ;
}

my $reading = 'while reading response header from upstream, client: 127\.0\.0\.1, server: , request: "GET [^"]+ HTTP/1\.1", upstream: "http://127\.0\.0\.1:\d+/\w+", host: "localhost[^"]*"';
try_one('/one/close', 502, qr/\[error\].*upstream prematurely closed connection $reading/, 'closed before the head');
try_one('/one/reset', 502, qr/\[error\].*recv\(\) failed \(104: Connection reset by peer\) $reading/, 'reset before the head');
try_one('/one/silent', 504, qr/\[error\].*upstream timed out \(110: Connection timed out\) $reading/, 'no answer');
try_one('/one/slowhead', 504, qr/upstream timed out \(110: Connection timed out\) while reading response header/, 'half a head, then nothing');
try_one('/one/garbage', 502, qr/\[error\].*upstream sent no valid HTTP\/1\.0 header/, 'not HTTP');
try_one('/one/badfield', 502, qr/upstream sent invalid header: a header line without a colon $reading/, 'a field without a colon');
try_one('/one/nul', 502, qr/upstream sent invalid header.*NUL/, 'a NUL');
try_one('/one/twolen', 502, qr/upstream sent invalid header.*Content-Length/, 'two lengths');
try_one('/one/lenchunk', 502, qr/upstream sent invalid header.*at the same time/, 'length and chunks');
try_one('/one/halfhead', 502, qr/upstream prematurely closed connection while reading response header/, 'half a head, then closed');
try_one('/one/bighead', 502, qr/upstream sent too big header while reading response header/, 'a head above proxy_buffer_size');
try_one('/one/upgrade', 502, qr/upgrade that was not asked for/, 'an upgrade nobody asked for');
try_one('/dead/x', 502, qr/\[error\].*connect\(\) failed \(111: Connection refused\) while connecting to upstream, client.*upstream: "http:\/\/127\.0\.0\.1:$dead\/x"/, 'refused');
try_one('/dead/x', 502, qr/no live upstreams while connecting to upstream, client.*upstream: "http:\/\/dead\/x"/, 'nobody left');
try_one('/nobody/x', 502, qr/no live upstreams while connecting to upstream.*upstream: "http:\/\/nobody\/x"/, 'all are down');
try_one('/var/?to=no-such-name.invalid', 502, qr/no-such-name\.invalid could not be resolved/, 'a name at run time');
is($w->get('/nowhere/x')->body, 'good GET ', 'a name that does not resolve is a server that is down');
like(join('', $w->t_binary('-t')), qr/\[warn\] host not found in upstream "no-such-name\.invalid"/, 'and said at start');
is($w->get('/page/close')->body, 'sorry', 'error_page for a failed upstream');

# Broken off in the body: the client must be able to tell.
for my $case (['short', 'prematurely closed connection while reading upstream'], ['cutchunk', 'prematurely closed connection while reading upstream'],
              ['badchunk', 'upstream sent invalid chunked response'], ['slowbody', 'upstream timed out .* while reading upstream']) {
    my $m = $w->connect->get("/one/$case->[0]");
    is($m->status, 200, "$case->[0]: the head was through");
    ok(!$m->complete, "$case->[0]: the body is cut short and looks so");
    ok($w->wait_error(qr/$case->[1]/), "$case->[0]: the log says so") ;
}
is($w->get('/one/toomuch')->body, 'ok', 'more than the length: what belongs to the answer');
is($w->get('/one/ok')->body, 'ok', 'and the next one is not confused');

# Another peer is asked.
for my $what (qw(close reset silent garbage s403 s404 s429 s500 s502 s503 s504)) {
    is($w->get("/pair/$what")->body, 'good GET ', "$what: the other one answers");
}
is($w->get('/half/x')->body, 'good GET ', 'one is dead: the other answers') for 1 .. 3;
is($w->get("/never/close")->status, 502, 'proxy_next_upstream off');
is($w->get("/tries/close")->status, 502, 'proxy_next_upstream_tries 1');
is($w->get("/late/silent")->status, 504, 'proxy_next_upstream_timeout is over');
is($w->get("/one/s503")->status, 503, 'nobody else: the answer is passed');
my $post = sub { my ($uri, $body) = @_; my $c = $w->connect; $c->request('POST', $uri, body => $body); $c->response };
is($post->('/pair/close', 'data')->status, 502, 'POST is not sent twice');
is($post->('/pair/s503', 'data')->status, 503, 'nor after an answer');
is($post->('/twice/close', 'data')->body, 'good POST data', 'unless non_idempotent says so: the body goes again');
is($post->('/twice/close', 'x' x 100000)->body, 'good POST ' . 'x' x 100000, 'a long body as well');
is($post->('/stream/close', 'data')->status, 502, 'a streamed body is gone');
my $n = () = $w->wait_access(1);
like($w->access_log, qr{^GET /pair/s404 200 127\.0\.0\.1:\d+, 127\.0\.0\.1:\d+ 404, 200$}m, 'both tries are listed') or diag($w->access_log);
like($w->access_log, qr{^GET /dead/x 502 dead 502$}m, 'nobody asked: the name of the group');
done_testing;
