# How an upstream's answer reaches the client: framing, fields, redirects, interim responses, as nginx does it.
use lib 't/lib';
use Weir;

my $big = join '', map { "line $_\n" } 1 .. 20000;
my %answer = (
    length   => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello",
    reason   => "HTTP/1.1 200 All is Well\r\nContent-Length: 0\r\n\r\n",
    odd      => "HTTP/1.1 299 Odd One\r\nContent-Length: 0\r\n\r\n",
    close    => "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    old      => "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\nold",
    chunked  => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n",
    trailers => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n",
    empty    => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    '204'    => "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
    '304'    => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 100\r\nLast-Modified: Mon, 23 Nov 2026 06:28:15 GMT\r\n\r\n",
    fields   => "HTTP/1.1 200 OK\r\nServer: other\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nX-Powered-By: php\r\nX-Pad: x\r\nX-Accel-Expires: 5\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d; Path=/\r\n"
              . "Cache-Control: no-cache\r\nExpires: Thu, 01 Jan 1970 00:00:00 GMT\r\nETag: W/\"abc\"\r\nLast-Modified: Mon, 23 Nov 2026 06:28:15 GMT\r\nVary: Accept\r\nVary: Origin\r\n"
              . "Content-Encoding: br\r\nContent-Language: de\r\nAccept-Ranges: bytes\r\nKeep-Alive: timeout=3\r\nConnection: keep-alive\r\nX-Own: 1\r\nLink: </a>; rel=preload\r\nContent-Length: 1\r\n\r\nx",
    charset  => "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=\"koi8-r\"\r\nContent-Length: 1\r\n\r\nx",
    params   => "HTTP/1.1 200 OK\r\nContent-Type: multipart/x; boundary=abc\r\nContent-Length: 1\r\n\r\nx",
    accelcs  => "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Accel-Charset: utf-8\r\nContent-Length: 1\r\n\r\nx",
    interim  => "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    '404'    => "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 8\r\n\r\nnot here",
    '401'    => "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 1\r\n\r\nn",
    '500'    => "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno",
    big      => "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " . length($big) . "\r\n\r\n$big",
    bigchunk => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" . join('', map { my $p = substr $big, $_ * 1000, 1000; sprintf("%x\r\n%s\r\n", length $p, $p) } 0 .. int((length($big) - 1) / 1000)) . "0\r\n\r\n",
    bigclose => "HTTP/1.0 200 OK\r\n\r\n$big",
    bare     => "HTTP/1.1 200 OK\nX-A: b\nContent-Length: 1\n\nx",
    xredir   => "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /inside/length\r\nContent-Type: text/x-mine\r\nSet-Cookie: k=v\r\nX-Lost: 1\r\nContent-Length: 3\r\n\r\nabc",
    xnamed   => "HTTP/1.1 200 OK\r\nX-Accel-Redirect: \@named\r\nContent-Length: 0\r\n\r\n",
);
my $backend = Weir::Backend->new(sub {
    my $req = shift;
    my ($to) = $req->uri =~ m{[?&]to=([^&]*)};
    if (defined $to) {
        $to =~ s/BACKEND/$req->header('Host')/e;
        return [302, [Location => $to, 'Content-Length' => 0], ''];
    }
    my ($name) = $req->uri =~ m{/(\w+)(?:\?.*)?$};
    my $answer = $answer{$name // ''} // "HTTP/1.1 400 What\r\nContent-Length: 0\r\n\r\n";
    $answer =~ s/\r\n\r\n\K.*//s if $req->method eq 'HEAD';
    return $answer;
});

my $conf = <<'EOC';
events { }
http {
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://%%BACKEND%%; }
        location /unbuffered/ { proxy_buffering off; proxy_pass http://%%BACKEND%%; }
        location /hide/ { proxy_hide_header X-Own; proxy_hide_header Set-Cookie; proxy_pass_header Server; proxy_pass_header Date; proxy_pass_header X-Pad; proxy_pass http://%%BACKEND%%; }
        location /small/ { proxy_buffer_size 1k; proxy_buffers 4 1k; proxy_busy_buffers_size 2k; proxy_pass http://%%BACKEND%%; }
        location /catch/ { proxy_intercept_errors on; error_page 404 401 /page; error_page 500 =200 /page; proxy_pass http://%%BACKEND%%; }
        location = /page { return 200 "the page"; }
        location /inside/ { internal; proxy_pass http://%%BACKEND%%/; }
        location /noaccel/ { proxy_ignore_headers X-Accel-Redirect X-Accel-Charset; proxy_pass http://%%BACKEND%%; }
        location @named { return 200 "named"; }
        location /sub/ { proxy_pass http://%%BACKEND%%/app/; }
        location /off/ { proxy_redirect off; proxy_pass http://%%BACKEND%%/app/; }
        location /own/ { proxy_redirect http://one.example/ /1/; proxy_redirect ~^http://two\.example/(.*)$ http://$host/2/$1; proxy_redirect default; proxy_pass http://%%BACKEND%%/app/; }
        location /own2/ { proxy_pass http://%%BACKEND%%/app/; proxy_redirect http://one.example/ /1/; proxy_redirect ~^http://two\.example/(.*)$ http://$host/2/$1; proxy_redirect default; }
    }
}
EOC
$conf =~ s/^.*location \/own\/ .*\n//m;     # nginx wants default after proxy_pass

sub get { my ($uri, $method, $version) = @_; return join ' ', $method // 'GET', $uri, 'HTTP/' . ($version // '1.1') . "\r\nHost: front.example\r\n\r\n" }

Weir->compare($conf, [
    (map { ("$_" => get("/$_")) } sort keys %answer),
    (map { ("HEAD $_" => sub { my $m = $_[0]->connect->get('/' . $_[1], method => 'HEAD'); $m }) } ()),
    (map { my $n = $_; ("HEAD $n" => sub { my $c = $_[0]->connect; $c->send(get("/$n", 'HEAD')); $c->response(method => 'HEAD') }) } qw(length chunked close big 204 304 fields)),
    (map { ("HTTP/1.0 client: $_" => get("/$_", 'GET', '1.0')) } qw(length chunked close bigchunk)),
    (map { ("unbuffered $_" => get("/unbuffered/$_")) } qw(length chunked close empty big bigchunk bigclose 204)),
    (map { ("small buffers $_" => get("/small/$_")) } qw(length big bigchunk bigclose)),
    'hidden and passed' => get('/hide/fields'),
    (map { ("intercepted $_" => get("/catch/$_")) } qw(404 401 500 length)),
    'accel headers ignored' => get('/noaccel/xredir'), 'accel charset ignored' => get('/noaccel/accelcs'),
    (map { my $to = $_; ("redirect to $to" => get("/sub/?to=$to"), "off: $to" => get("/off/?to=$to"), "own: $to" => get("/own2/?to=$to")) }
        'http://BACKEND/app/x', 'http://BACKEND/elsewhere', '/relative', 'http://other.example/x', 'http://one.example/a', 'http://two.example/b'),
    'redirect of a location without uri' => get('/?to=http://BACKEND/y'),
    'internal from outside' => get('/inside/length'),
], vars => { BACKEND => $backend->addr }, differ => {
    interim => 'nginx of Debian takes a 103 for the answer',
    trailers => 'Trailer is hop by hop where trailers are not passed',
});

my $w = Weir->new(conf => <<'EOC', vars => { BACKEND => $backend->addr })->start;
events { }
http { server { listen 127.0.0.1:%%PORT_0%%; location / { proxy_pass http://%%BACKEND%%; proxy_pass_trailers on; } location /hints/ { early_hints $server_port; proxy_pass http://%%BACKEND%%; } } }
EOC
my $hints = $w->get('/interim');
is_deeply($hints->interim, [], 'no 103 unless early_hints says so');
$hints = $w->get('/hints/interim');
is(scalar @{ $hints->interim }, 1, 'one interim response: the 100 is ours to take');
is($hints->interim->[0]->status, 103, 'the 103');
is($hints->interim->[0]->header('Link'), '</x>', 'with its fields');
is($hints->body, 'ok', 'and then the answer');
my $m = $w->get('/trailers');
is_deeply($m->trailers, [['X-Sum', '42']], 'trailers are passed where proxy_pass_trailers says so');
is($m->body, 'hello', 'after the body');
done_testing;
