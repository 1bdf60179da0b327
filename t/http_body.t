# Request bodies that somebody reads: whole in memory or in a file, within limits and in time.
use lib 't/lib';
use Weir;
use Digest::MD5 qw(md5_hex);

my $backend = Weir::Backend->new(sub { my $req = shift; return [200, ['X-File' => $req->header('X-File') // ''], join ' ', length $req->body, md5_hex($req->body), $req->header('Content-Length') // 'chunked'] });
my $w = Weir->new(vars => { BACKEND => $backend->addr }, conf => <<'EOC')->start;
events { }
http {
    client_body_temp_path %%TESTDIR%%/bodies 1 2;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        client_max_body_size 3m;
        client_body_timeout 400ms;
        location / { proxy_pass http://%%BACKEND%%; }
        location /small/ { client_body_buffer_size 1k; proxy_pass http://%%BACKEND%%; }
        location /file/ { client_body_in_file_only on; proxy_pass http://%%BACKEND%%; proxy_set_header X-File $request_body_file; }
        location /clean/ { client_body_in_file_only clean; proxy_pass http://%%BACKEND%%; proxy_set_header X-File $request_body_file; }
        location /stream/ { proxy_request_buffering off; proxy_http_version 1.1; proxy_pass http://%%BACKEND%%; }
        location /tiny/ { client_max_body_size 10; proxy_pass http://%%BACKEND%%; }
        location /tinystream/ { client_max_body_size 10; proxy_request_buffering off; proxy_http_version 1.1; proxy_pass http://%%BACKEND%%; }
    }
}
EOC
sub post { my ($uri, $body, @fields) = @_; return "POST $uri HTTP/1.1\r\nHost: h\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n$body" }
sub chunks { my ($body, $n) = @_; return join('', map { sprintf("%x\r\n%s\r\n", length $_, $_) } $body =~ /(.{1,$n})/sg) . "0\r\n\r\n" }
sub files { return scalar(my @f = map { glob "$w->{dir}/bodies/$_" } '*/*/*') }

for my $size (0, 1, 1000, 5000, 16384, 16385, 100_000, 2_000_000) {
    my $body = join '', map { chr(33 + $_ * 7 % 90) } 1 .. $size;
    my $want = "$size " . md5_hex($body) . " $size";
    for my $uri ('/', '/small/', '/stream/') {
        my $c = $w->connect;
        $c->send(post($uri, $body, "Content-Length: $size"));
        is($c->response->body, $want, "$uri: $size bytes");
        my $cwant = $uri eq '/stream/' ? "$size " . md5_hex($body) . ' chunked' : $want;
        for my $n (7, 4096, 65000) {
            next if $n == 7 && $size > 20_000;
            $c->send(post($uri, chunks($body, $n), 'Transfer-Encoding: chunked'));
            is($c->response->body, $cwant, "$uri: $size bytes in chunks of $n, same connection");
        }
    }
}
is(files(), 0, 'no file is left');
like($w->error_log, qr{\[warn\] .*a client request body is buffered to a temporary file \S+/bodies/\d/\d\d/\d{10}, client: 127.0.0.1, server: , request: "POST / HTTP/1.1"}, 'a file is a warning');

my $m = $w->raw(post('/file/', 'hello', 'Content-Length: 5'));
is(Weir::slurp($m->header('X-File')), 'hello', 'client_body_in_file_only on: the file stays');
$m = $w->raw(post('/clean/', 'hello', 'Content-Length: 5'));
ok($m->header('X-File'), 'clean: there was a file');
ok(wait_for(sub { !-e $m->header('X-File') }, 5), 'and it goes');

# slow and pipelined
my $c = $w->connect;
$c->send(post('/', 'hel', 'Content-Length: 5'));
$c->send('lo' . post('/', chunks('hello', 2), 'Transfer-Encoding: chunked'));
is($c->response->body, '5 ' . md5_hex('hello') . ' 5', 'in two pieces');
is($c->response->body, '5 ' . md5_hex('hello') . ' 5', 'the next one behind it');

# Expect
$c = $w->connect;
$c->send(post('/', '', 'Content-Length: 5', 'Expect: 100-continue'));
is($c->line, "HTTP/1.1 100 Continue\r\n", '100 before the body');
$c->line;
$c->send('hello');
is($c->response->body, '5 ' . md5_hex('hello') . ' 5', 'then the response');

# limits
for my $uri ('/tiny/', '/tinystream/') {
    $c = $w->connect;
    $c->send(post($uri, chunks('x' x 11, 4), 'Transfer-Encoding: chunked'));
    is($c->response->status, 413, "$uri: too many bytes in chunks");
    ok($c->closed(8), 'and closed');
    is($w->raw(post($uri, 'x' x 11, 'Content-Length: 11'))->status, 413, "$uri: too long by length");
}
is($w->raw("POST /tiny HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n")->status, 413, 'too long, where a redirect to the folder would answer');
is($w->raw("POST /tiny HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1")->status, 301, 'which it does for less');
like($w->error_log, qr/\[error\] .*client intended to send too large chunked body: \d+ bytes/, 'said so');
for my $uri ('/', '/stream/') {
    $c = $w->connect;
    $c->send(post($uri, "5\r\nhello\n0\r\n\r\n", 'Transfer-Encoding: chunked'));
    $m = $c->response;
    is($m && $m->status, 400, "$uri: an LF without CR in a chunked body");
    ok($c->closed(8), 'and closed');
}

# time, and clients that leave
for my $uri ('/', '/stream/') {
    $c = $w->connect;
    $c->send(post($uri, 'hel', 'Content-Length: 5'));
    ok($c->closed(5), "$uri: client_body_timeout ends the connection");
    $c = $w->connect;
    $c->send(post("$uri?left", 'hel', 'Content-Length: 5'));
    $c->close;
    ok(wait_for(sub { $w->access_log =~ m{"POST \Q$uri\E\?left HTTP/1.1" 400 } }, 5), "$uri: a client that leaves in between: 400");
}
like($w->error_log, qr/client timed out \(110: Connection timed out\) while reading client request body/, 'said so');
ok(wait_for(sub { $w->access_log =~ m{"POST / HTTP/1.1" 408 0 } }, 5), 'and logged as 408');
is($w->raw(post('/', 'hello', 'Content-Length: 5', 'Connection: close'))->status, 200, 'all is well');
done_testing;
