# Trailers both ways: passed where the configuration says so, never as fields of the head, and none that a trailer must not say.
use lib 't/lib';
use Weir;

my $up = Weir::Backend->new(sub {
    my $req = shift;
    return [503, [], ""] if ($req->header("X-Peer") // "") eq "first";
    if ($req->uri =~ m{/answer/(\w+)}) {
        my %of = (plain => "X-Sum: 42\r\nX-Hide: 1\r\n", forbidden => "X-Sum: 1\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\nSet-Cookie: a=b\r\nHost: evil\r\n",
            nominated => "X-Hop: 1\r\nX-Sum: 2\r\n", large => 'X-A: ' . 'a' x 5000 . "\r\n");
        my $fields = $1 eq 'nominated' ? "Connection: keep-alive\r\nConnection: x-hop, X-Other\r\nX-Other: 1\r\nX-Kept: 1\r\n" : '';
        return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n$fields\r\n5\r\nhello\r\n0\r\n$of{$1}\r\n";
    }
    return [200, ['Content-Type' => 'text/plain'], join "\n", $req->framing, $req->head, $req->body, map { "T $_->[0]=$_->[1]" } @{ $req->trailers }];
});
my $w = Weir->new(vars => { B => $up->addr }, conf => <<'EOC')->start;
events { }
http {
    log_format t '$request_uri $upstream_trailer_x_sum $sent_trailer_x_sum';
    access_log %%TESTDIR%%/access.log t;
    max_headers 20;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://%%B%%; }
        location /off/ { proxy_request_buffering off; proxy_pass http://%%B%%; }
        location /whole/ { proxy_pass_request_trailers on; proxy_set_header X-User me; proxy_set_header TE trailers; proxy_pass http://%%B%%; }
        location /file/ { proxy_pass_request_trailers on; client_body_buffer_size 1k; proxy_pass http://%%B%%; }
        location /stream/ { proxy_pass_request_trailers on; proxy_request_buffering off; proxy_set_header X-User me; proxy_pass http://%%B%%; }
        location /old/ { proxy_pass_request_trailers on; proxy_http_version 1.0; proxy_pass http://%%B%%; }
        location /bare/ { proxy_pass_request_trailers on; proxy_pass_request_headers off; proxy_pass http://%%B%%; }
        location /retry/ { proxy_pass_request_trailers on; proxy_next_upstream http_503 non_idempotent; proxy_pass http://again; }
        location /pass/ { proxy_pass_trailers on; proxy_hide_header X-Hide; proxy_pass http://%%B%%/; }
    }
    upstream again { server 127.0.0.1:%%PORT_1%%; server 127.0.0.1:%%PORT_2%% backup; }
    server { listen 127.0.0.1:%%PORT_1%%; location / { proxy_pass_request_trailers on; proxy_set_header X-Peer first; proxy_pass http://%%B%%/busy; } }
    server { listen 127.0.0.1:%%PORT_2%%; location / { proxy_pass_request_trailers on; proxy_set_header X-Peer second; proxy_pass http://%%B%%; } }
}
EOC

my @nominates = ('Connection: keep-alive', 'Connection: X-Hop, x-other', 'X-Hop: 1');
my $trailers = "X-Sum: 42\r\nX-User: root\r\nX-Hop: 2\r\nX_User: root\r\nContent-Length: 5\r\nHost: evil\r\nTransfer-Encoding: chunked\r\nAuthorization: x\r\nX-More: a b\r\n";
sub post { my ($uri, $body, $last, @fields) = @_; return join("\r\n", "POST $uri HTTP/1.1", 'Host: h', 'Transfer-Encoding: chunked', @fields, '', '') . sprintf("%x\r\n%s\r\n0\r\n%s\r\n", length $body, $body, $last) }

# ---- of the request
for ('/', '/off/') { unlike($w->raw(post($_, 'hello', $trailers))->body, qr/X-Sum|^T /m, "$_: no trailer is passed unless the configuration says so") }
for my $uri ('/whole/', '/stream/') {
    my $body = $w->raw(post($uri, 'hello', $trailers, @nominates))->body;
    like($body, qr/^chunked\n/, "$uri: chunked");
    is(join(' ', grep { /^T / } split /\n/, $body), 'T X-Sum=42 T X-More=a b', "$uri: trailers, but none that a trailer must not say, proxy_set_header says, or Connection names");
    unlike($body, qr/^(X-Sum|X-More|X-Hop):/mi, "$uri: none of them is in the head");
}
like($w->raw(post('/whole/', 'hello', ''))->body, qr/^length\n.*\nContent-Length: 5\r/s, 'without trailers: the length is told as ever');
like($w->raw(post('/file/', 'x' x 50_000, "X-Sum: 7\r\n"))->body, qr/^chunked\n.*\nx{50000}\nT X-Sum=7$/s, 'a body from a file');
like($w->raw(post('/old/', 'hello', "X-Sum: 7\r\n"))->body, qr{^length\n(?!.*^T )}sm, 'HTTP/1.0 has none');
unlike($w->raw(post('/bare/', 'hello', "X-Sum: 7\r\n"))->body, qr/^T /m, 'nor has who is passed no fields');
like($w->raw(post('/retry/', 'hello', "X-Sum: 7\r\n"))->body, qr/X-Peer: second.*\nhello\nT X-Sum=7$/s, 'the next peer gets them too');
{
    my $c = $w->connect;
    $c->send(post('/whole/', 'hello', "X-Sum: 1\r\n") . post('/stream/', 'again', "X-Sum: 2\r\n"));
    like($c->response->body, qr/T X-Sum=$_$/, "pipelined: those of request $_") for 1, 2;
}
is($w->raw(post('/whole/', 'hello', join '', map { "X-$_: 1\r\n" } 1 .. 20))->status, 200, 'max_headers bounds them');
is($w->raw(post('/whole/', 'hello', join '', map { "X-$_: 1\r\n" } 1 .. 21))->status, 400, 'one more is too many');
is($w->raw(post($_, 'hello', 'X-A: ' . 'a' x 9000 . "\r\n"))->status, 400, "$_: too large") for '/whole/', '/stream/';

# ---- of the answer
my $m = $w->get('/answer/plain');
is_deeply([$m->trailers, scalar $m->header('Trailer'), $m->body], [[], undef, 'hello'], 'none unless the configuration says so');
$m = $w->get('/pass/answer/plain');
is_deeply([$m->trailers, scalar $m->header('Trailer')], [[['X-Sum', '42']], 'X-Sum'], 'proxy_pass_trailers: passed, less what is hidden');
is_deeply($w->get('/pass/answer/forbidden')->trailers, [['X-Sum', '1']], 'none that a trailer must not say');
$m = $w->get('/pass/answer/nominated');
is_deeply([$m->trailers, scalar $m->header('X-Other'), scalar $m->header('X-Kept')], [[['X-Sum', '2']], undef, '1'], 'nor what any Connection of the answer names');
$m = $w->raw("GET /pass/answer/plain HTTP/1.0\r\n\r\n");
is_deeply([$m->body, $m->framing, scalar $m->header('Trailer')], ['hello', 'close', undef], 'an old client gets the body alone');
ok(!$w->get('/pass/answer/large')->complete, 'a section larger than proxy_buffer_size: broken off');
like($w->error_log, qr/upstream sent invalid chunked response: too large a trailer section/, 'and told of');
my @lines = $w->wait_access(20);
ok((grep { $_ eq '/answer/plain 42 -' } @lines), '$upstream_trailer_ has what came');
ok((grep { $_ eq '/pass/answer/plain 42 42' } @lines), '$sent_trailer_ what went');

# ---- fields that Connection names
for my $field ('Connection: close', 'Connection: keep-alive', 'Connection: X-Second', 'Connection:') {
    my $body = $w->raw("GET / HTTP/1.1\r\nHost: h\r\n$field\r\nX-Second: 1\r\nX-Kept: 2\r\nConnection: x-second\r\nConnection: close\r\n\r\n")->body;
    like($body, qr/X-Kept: 2/, "$field first: the others are passed");
    unlike($body, qr/X-Second/, "$field first: what a later Connection names is not");
}
done_testing;
