# Bodies both ways: whole, streamed, big, slow readers and writers, early answers, upgrades.
use lib 't/lib';
use Weir;
use Digest::MD5 qw(md5_hex);

my $megabytes = 12;
my $block = join '', map { chr(($_ * 7 + ($_ >> 8)) & 255) } 0 .. 65535;
my $sum = do { my $d = Digest::MD5->new; $d->add($block) for 1 .. $megabytes * 16; $d->hexdigest };
my $gate = Weir::scratch() . '/gate';       # exists: go on
sub until_open { select undef, undef, undef, 0.01 until -e $gate }

my $backend = Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    my $uri = $req->uri;
    if ($uri =~ /big/) {
        my $length = $uri =~ /chunked/ ? 'Transfer-Encoding: chunked' : $uri =~ /close/ ? 'Connection: close' : 'Content-Length: ' . 65536 * 16 * $megabytes;
        $conn->{timeout} = 60;
        $conn->send("HTTP/1.1 200 OK\r\n$length\r\n\r\n");
        for (1 .. $megabytes * 16) { $conn->send($uri =~ /chunked/ ? sprintf("%x\r\n%s\r\n", 65536, $block) : $block) or last }
        $conn->send("0\r\n\r\n") if $uri =~ /chunked/;
        $conn->close if $uri =~ /close/;
        return undef;
    }
    if ($uri =~ /drip/) {
        $conn->send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
        until_open();
        $conn->send('two');
        return undef;
    }
    return md5_hex($req->body) . ' ' . length $req->body;
});

# Answers before the body was read, then closes or goes on reading.
my $early = Weir::Backend->new(sub {
    my $conn = shift;
    my $head = '';
    while (defined(my $l = $conn->line)) { $head .= $l; last if $l =~ /^\r?\n/ }
    $conn->send("HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!");
    if ($head =~ m{/reads}) { $conn->{timeout} = 5; $conn->rest }
    $conn->close;
}, connection => 1);

my $ws = Weir::Backend->new(sub {
    my $conn = shift;
    my $head = '';
    while (defined(my $l = $conn->line)) { $head .= $l; last if $l =~ /^\r?\n/ }
    if ($head !~ /upgrade: echo/i) { $conn->send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain"); $conn->close; return }
    $conn->send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello ");
    while (defined(my $l = $conn->line)) { last if $l =~ /bye/; $conn->send("echo $l") or last }
    $conn->close;
}, connection => 1);

my $w = Weir->new(vars => { B => $backend->addr, E => $early->addr, WS => $ws->addr }, conf => <<'EOC')->start;
worker_processes 1;
events { }
http {
    client_max_body_size 100m;
    client_body_buffer_size 16k;
    log_format l "$uri $status $body_bytes_sent $upstream_status $upstream_response_length";
    access_log access.log l;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://%%B%%; }
        location /held/ { proxy_buffering off; proxy_pass http://%%B%%; }
        location /nofile/ { proxy_max_temp_file_size 0; proxy_pass http://%%B%%; }
        location /file/ { proxy_max_temp_file_size 2m; proxy_pass http://%%B%%; }
        location /stream/ { proxy_request_buffering off; proxy_pass http://%%B%%; }
        location /early/ { proxy_request_buffering off; proxy_pass http://%%E%%; }
        location /earlywhole/ { proxy_pass http://%%E%%; }
        location /ws { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_read_timeout 1s; proxy_pass http://%%WS%%; }
        location /patient { proxy_ignore_client_abort on; proxy_pass http://%%B%%; }
    }
}
EOC

sub digest_of {
    my ($c, $uri, $slow) = @_;
    $c->{timeout} = 30;
    $c->send("GET $uri HTTP/1.1\r\nHost: x\r\n\r\n");
    if ($slow) { ok(wait_for(sub { my $log = $w->error_log; $slow->($log) }, 10), "$uri: the slow client has made it wait") }
    my $m = $c->response;
    return $m && $m->complete ? md5_hex($m->body) : 'cut';
}

for my $uri ('/big', '/big/chunked', '/big/close', '/held/big', '/held/big/chunked', '/nofile/big', '/file/big') {
    is(digest_of($w->connect, $uri), $sum, "$uri: $megabytes MB arrive as they were sent");
}
for my $uri ('/big', '/file/big', '/big/chunked') {
    is(digest_of($w->connect(rcvbuf => 32768), $uri, sub { $_[0] =~ /an upstream response is buffered to a temporary file/ }), $sum, "$uri: to a slow client, by way of a file");
}
for my $uri ('/held/big', '/nofile/big') {
    my $files = () = $w->error_log =~ /temporary file/g;
    is(digest_of($w->connect(rcvbuf => 32768), $uri), $sum, "$uri: to a slow client, held back");
    is(scalar(() = $w->error_log =~ /temporary file/g), $files, "$uri: without a file");
}

# What there is of an answer is not kept back.
for my $where ('', '/held') {
    unlink $gate;
    my $c = $w->connect;
    $c->send("GET $where/drip HTTP/1.1\r\nHost: x\r\n\r\n");
    while (defined(my $l = $c->line)) { last if $l =~ /^\r?\n/ }
    is($c->bytes(3), 'one', "$where/drip: the first part is here before the second is sent");
    open my $io, '>', $gate or die;
    is($c->bytes(3), 'two', "$where/drip: and then the second");
}

# Requests.
my $body = $block x 32;
for my $uri ('/up', '/stream/up') {
    my $c = $w->connect(timeout => 30);
    $c->request('POST', $uri, body => $body);
    is($c->response->body, md5_hex($body) . ' ' . length $body, "$uri: 2 MB with a length");
    $c->send("POST $uri HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    $c->send(sprintf("%x\r\n%s\r\n", length $block, $block)) for 1 .. 32;
    $c->send("0\r\n\r\n");
    is($c->response->body, md5_hex($body) . ' ' . length $body, "$uri: 2 MB chunked, on the same connection");
}

# An answer before the request was read.
for my $uri ('/early/closes', '/early/reads', '/earlywhole/closes', '/earlywhole/reads') {
    my $c = $w->connect(timeout => 20);
    $c->request('POST', $uri, body => $body);
    my $m = $c->response;
    is($m && $m->status, 413, "$uri: the early answer is passed") or diag($w->error_log);
    is($m && $m->body, 'no!', "$uri: whole");
}

# Upgrade.
my $c = $w->connect;
$c->send("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nearly\n");
my $head = '';
while (defined(my $l = $c->line)) { last if $l =~ /^\r?\n/; $head .= $l }
like($head, qr{^HTTP/1\.1 101 Switching Protocols\r\n}, '101 is passed');
like($head, qr{^Upgrade: echo\r\n}mi, 'with its Upgrade');
like($head, qr{^Connection: upgrade\r\n}mi, 'and Connection');
is($c->line, "hello echo early\n", 'what came with the heads is not lost');
$c->send("a\nb\n");
is($c->line, "echo a\n", 'bytes go both ways');
is($c->line, "echo b\n", 'again');
$c->send("x" x 300000 . "\n");
is(length $c->line, 300006, 'many as well');
$c->send("bye\n");
ok($c->closed(5), 'the end of the upstream is the end');
is($w->get('/ws')->body, 'plain', 'without an upgrade: as ever');
my $c2 = $w->connect;
$c2->send("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n");
ok($c2->closed(5), 'an idle tunnel ends after proxy_read_timeout');

# The client leaves.
unlink $gate;
for my $uri ('/drip', '/patient/drip') {
    my $l = $w->connect;
    $l->send("GET $uri HTTP/1.1\r\nHost: x\r\n\r\n");
    while (defined(my $x = $l->line)) { last if $x =~ /^\r?\n/ }
    $l->close;
}
ok(wait_for(sub { $w->access_log =~ m{^/drip }m }, 5), 'the client left: the request ends');
open my $io, '>', $gate or die;
ok(wait_for(sub { $w->access_log =~ m{^/patient/drip 200 \d+ 200 6$}m }, 5), 'proxy_ignore_client_abort: to its end') or diag($w->access_log);
is($w->get('/up')->status, 200, 'and all is well');
done_testing;
