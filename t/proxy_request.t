# How a request looks to the upstream: line, fields, body, as nginx makes them; and what is weir's own.
use lib 't/lib';
use Weir;

my $echo = Weir::Backend->new(sub {
    my $req = shift;
    my $body = length $req->body > 100 ? 'long:' . length($req->body) . ':' . unpack('%32C*', $req->body) : $req->body;
    return [200, ['Content-Type' => 'text/plain', 'X-Framing' => $req->framing], $req->head . $body];
});

my $conf = <<'EOC';
events { }
http {
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    client_body_buffer_size 8k;
    upstream named { server %%BACKEND%%; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://%%BACKEND%%; }
        location /uri/ { proxy_pass http://%%BACKEND%%/other/; }
        location /nouri { proxy_pass http://%%BACKEND%%/; }
        location /query/ { proxy_pass http://%%BACKEND%%/x?y=; }
        location = /exact { proxy_pass http://%%BACKEND%%/changed; }
        location ~ ^/regex/(\d+) { proxy_pass http://%%BACKEND%%/r$1/z; }
        location ~ ^/plain { proxy_pass http://%%BACKEND%%; }
        location /named/ { proxy_pass http://named/n/; }
        location /vars/ { proxy_pass http://%%BACKEND%%$request_uri; }
        location /set/ {
            proxy_set_header Host $host;
            proxy_set_header Connection "";
            proxy_set_header X-Maybe $arg_maybe;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Accept-Encoding "";
            proxy_set_header X-Names "$proxy_host";
            proxy_pass http://%%BACKEND%%;
            location /set/own/ { proxy_set_header Only this; proxy_set_header Connection ""; proxy_pass http://%%BACKEND%%; }
            location /set/inherited/ { proxy_pass http://%%BACKEND%%; }
        }
        location /old/ { proxy_http_version 1.0; proxy_pass http://%%BACKEND%%; }
        location /nofields/ { proxy_pass_request_headers off; proxy_pass http://%%BACKEND%%; }
        location /nobody/ { proxy_set_header Connection ""; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://%%BACKEND%%; }
        location /method/ { proxy_method PUT; proxy_pass http://%%BACKEND%%; }
        location /body/ { proxy_set_body "got $request_method"; proxy_pass http://%%BACKEND%%; }
        location /stream/ { proxy_request_buffering off; proxy_pass http://%%BACKEND%%; }
    }
}
EOC

sub req { my ($line, @fields) = @_; return join("\r\n", $line, 'Host: example.com', @fields, '', '') }
my $post = join '', map { chr(65 + $_ % 26) } 1 .. 50000;

Weir->compare($conf, [
    'plain' => req('GET /a/b?c=d HTTP/1.1', 'User-Agent: test/1', 'Accept: */*', 'Cookie: a=b'),
    'old client' => "GET /a HTTP/1.0\r\nHost: example.com\r\n\r\n",
    'escapes stay as they came' => req('GET /a%20b/%2e%2e/c%2Fd?x=%20 HTTP/1.1'),
    'uri replaces the location' => req('GET /uri/a%20b?c=d HTTP/1.1'),
    'dots are taken out where the uri is made' => req('GET /uri/a/../b HTTP/1.1'),
    'a uri of a slash' => req('GET /nouri/x HTTP/1.1'),
    'a uri with a query' => req('GET /query/z?k HTTP/1.1'),
    'exact' => req('GET /exact?q HTTP/1.1'),
    'regex with variables' => req('GET /regex/42?q HTTP/1.1'),
    'regex without a uri' => req('GET /plain/%41?q HTTP/1.1'),
    'a named upstream is the Host' => req('GET /named/x HTTP/1.1'),
    'variables that hold the whole uri' => req('GET /vars/%41?b=c HTTP/1.1'),
    'own Host and fields' => req('GET /set/x?maybe=1 HTTP/1.1', 'Accept-Encoding: gzip', 'X-Forwarded-For: 10.0.0.1', 'X-Other: y'),
    'an empty value leaves the field out' => req('GET /set/x?no HTTP/1.1', 'X-Maybe: of the client'),
    'lines set inside are the only ones' => req('GET /set/own/ HTTP/1.1'),
    'none inside: those from above' => req('GET /set/inherited/ HTTP/1.1'),
    'HTTP/1.0 upstream' => req('GET /old/ HTTP/1.1'),
    'fields are not passed' => req('GET /nofields/ HTTP/1.1', 'X-A: b'),
    'hop-by-hop fields end here' => req('GET /h HTTP/1.1', 'Connection: keep-alive', 'Keep-Alive: 5', 'TE: trailers', 'Upgrade: websocket'),
    'expect ends here' => req('POST /h HTTP/1.1', 'Content-Length: 2', 'Expect: 100-continue') . 'ab',
    'spaces around values' => req('GET /h HTTP/1.1', "X-A:b", "X-B:  c  ", "X-C:\td", 'X-D: e'),
    'a bare LF' => "GET /h HTTP/1.1\nHost: example.com\nX-A: b\nX-B: c\r\n\r\n",
    'many fields' => req('GET /h HTTP/1.1', map { "X-Field-$_: value $_" } 1 .. 60),
    'a body' => req('POST /b HTTP/1.1', 'Content-Length: 5') . 'hello',
    'a body of length 0' => req('POST /b HTTP/1.1', 'Content-Length: 0'),
    'a long body' => req('POST /b HTTP/1.1', 'Content-Length: 50000') . $post,
    'a chunked body is told its length' => req('POST /b HTTP/1.1', 'Transfer-Encoding: chunked') . "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    'a body that is not passed' => req('POST /nobody/ HTTP/1.1', 'Content-Length: 5') . 'hello',
    'another method' => req('POST /method/ HTTP/1.1', 'Content-Length: 1') . 'x',
    'another body' => req('POST /body/ HTTP/1.1', 'Content-Length: 1') . 'x',
    'streamed, with a length' => req('POST /stream/ HTTP/1.1', 'Content-Length: 50000') . $post,
    'streamed, chunked' => req('POST /stream/ HTTP/1.1', 'Transfer-Encoding: chunked') . "5\r\nhello\r\n0\r\n\r\n",
    'an unknown method' => req('FROB /a HTTP/1.1'),
    'auto redirect' => req('GET /uri HTTP/1.1'),
], vars => { BACKEND => $echo->addr }, differ => {
    'spaces around values' => 'a tab before a value is whitespace too (RFC 9110 5.5)',
    'streamed, chunked' => 'nginx tells the length where the whole body came with the head',
});

# What is weir's own: HTTP/1.1 and kept connections unless said otherwise; what Connection names goes no further.
my $w = Weir->new(conf => <<'EOC', vars => { BACKEND => $echo->addr })->start;
events { }
http { server { listen 127.0.0.1:%%PORT_0%%; location / { proxy_pass http://%%BACKEND%%; } } }
EOC
my $before = $echo->connections;
my $m = $w->get('/one');
like($m->body, qr{^GET /one HTTP/1\.1\r\n}, 'HTTP/1.1 by default');
unlike($m->body, qr/^Connection:/mi, 'and the connection stays open');
$w->get("/$_") for 1 .. 5;
is($echo->connections - $before, 1, 'six requests went over one connection');
$m = $w->get('/', headers => [Connection => 'close, X-Hop', 'X-Hop' => '1', 'X-Stays' => '2']);
unlike($m->body, qr/X-Hop/, 'a field that Connection names is for one hop');
like($m->body, qr/X-Stays: 2/, 'the others are passed');
$m = $w->get('/', headers => [(map { ("X-F$_" => 1) } 1 .. 300), Connection => 'close, X-Hop', 'X-Hop' => '1']);
unlike($m->body, qr/X-Hop/, 'also when it comes behind 300 others');
is($m->header('Connection'), 'close', 'and what else it says is seen');
done_testing;
