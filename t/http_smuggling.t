# What two readers might read differently is refused: with a 4xx (or 501), the connection closed, one line in the log.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $conf = <<'EOC';
events { }
http {
    server { listen 127.0.0.1:%%PORT_0%%; root %%TESTDIR%%/html; client_header_timeout 2s; }
}
EOC
my %files = ('html/index.html' => "index\n", 'html/a.txt' => "A\n");
my $get = "GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
sub post { return "POST /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @_[0 .. $#_ - 1]) . "\r\n$_[-1]" }

Weir->compare($conf, [
    'plain' => "$get\r\n",
    'lone LF' => "GET /a.txt HTTP/1.1\nHost: a\nConnection: close\n\n",
    'HTTP/1.0 without a host' => "GET /a.txt HTTP/1.0\r\n\r\n",
    'HTTP/1.1 without a host' => "GET /a.txt HTTP/1.1\r\n\r\n",
    'two hosts' => "GET /a.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    'two equal hosts' => "GET /a.txt HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    'a host with a slash' => "GET /a.txt HTTP/1.1\r\nHost: a/b\r\n\r\n",
    'a host with a control character' => "GET /a.txt HTTP/1.1\r\nHost: a\x01b\r\n\r\n",
    'a host with two dots' => "GET /a.txt HTTP/1.1\r\nHost: a..b\r\n\r\n",
    'length and chunked' => post('Content-Length: 5', 'Transfer-Encoding: chunked', "0\r\n\r\n"),
    'two lengths' => post('Content-Length: 5', 'Content-Length: 6', 'hello!'),
    'two equal lengths' => post('Content-Length: 5', 'Content-Length: 5', 'hello'),
    'a length with a sign' => post('Content-Length: +5', 'hello'),
    'a negative length' => post('Content-Length: -5', 'hello'),
    'a length list' => post('Content-Length: 5, 5', 'hello'),
    'a hex length' => post('Content-Length: 0x5', 'hello'),
    'an empty length' => post('Content-Length: ', 'hello'),
    'a length that is too large' => post('Content-Length: 99999999999999999999', 'hello'),
    'unknown coding' => post('Transfer-Encoding: gzip', "0\r\n\r\n"),
    'coding list' => post('Transfer-Encoding: gzip, chunked', "0\r\n\r\n"),
    'chunked twice' => post('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked', "0\r\n\r\n"),
    'coding in HTTP/1.0' => "POST /a.txt HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    'space before the colon' => "GET /a.txt HTTP/1.1\r\nHost : a\r\n\r\n",
    'no colon' => "${get}Foo\r\n\r\n",
    'NUL in a value' => "${get}Foo: a\0b\r\n\r\n",
    'NUL in a name' => "${get}Fo\0o: ab\r\n\r\n",
    'CR in a value' => "${get}Foo: a\rb\r\n\r\n",
    'underscore' => "${get}Foo_Bar: ab\r\n\r\n",
    'other signs in a name' => "${get}Foo(Bar: ab\r\n\r\n",
    'no method' => " /a.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    'small letters' => "get /a.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    'unknown method' => "FOO /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    'PUT to a file' => "PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    'TRACE' => "TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    'version 2' => "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    'version 1.2' => "GET / HTTP/1.2\r\nHost: a\r\nConnection: close\r\n\r\n",
    'version 0.9 said' => "GET / HTTP/0.9\r\nHost: a\r\n\r\n",
    'no slash' => "GET a.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    'asterisk' => "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    'above the root' => "GET /../a.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    'an encoded NUL' => "GET /a%00.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    'half an escape' => "GET /a%4.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    'control character in the target' => "GET /a\x02.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    'absolute form' => "GET http://b/a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    'absolute form without a path' => "GET http://b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    'absolute form, bad host' => "GET http://b..c/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    'garbage' => "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    'empty lines first' => "\r\n\r\n$get\r\n",
    'chunked body' => post('Transfer-Encoding: chunked', "5\r\nhello\r\n0\r\n\r\n"),
    'bad chunk size' => post('Transfer-Encoding: chunked', "x\r\nhello\r\n0\r\n\r\n"),
    'long chunk size' => post('Transfer-Encoding: chunked', "11111111111111111\r\nhello\r\n0\r\n\r\n"),
], files => \%files, differ => { 'no colon' => 'nginx drops such a line; another reader may see something in it (RFC 9112 5)' });

# Each refusal is one line, and the connection is closed after it.
my $w = Weir->new(conf => $conf, files => \%files)->start;
my @refused = (
    [qr/client sent "Content-Length" and "Transfer-Encoding" headers at the same time/, post('Content-Length: 5', 'Transfer-Encoding: chunked', "0\r\n\r\n")],
    [qr/client sent duplicate "Content-Length" header/, post('Content-Length: 5', 'Content-Length: 6', 'hello!')],
    [qr/client sent unknown "Transfer-Encoding"/, post('Transfer-Encoding: gzip', "0\r\n\r\n")],
    [qr/client sent HTTP\/1.1 request without "Host" header while reading client request headers, client: 127.0.0.1, server: , request: "GET \/a.txt HTTP\/1.1"/, "GET /a.txt HTTP/1.1\r\n\r\n"],
    [qr/client sent duplicate host header: "Host: b", previous value: "Host: a"/, "GET /a.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
    [qr/client sent invalid host header/, "GET /a.txt HTTP/1.1\r\nHost: a/b\r\n\r\n"],
    [qr/client sent invalid method while reading client request line/, "get /a.txt HTTP/1.1\r\nHost: a\r\n\r\n"],
    [qr/client sent a folded header line/, "GET /a.txt HTTP/1.1\r\nHost: a\r\nFoo: a\r\n b\r\n\r\n"],
    [qr/client sent a NUL in a header/, "GET /a.txt HTTP/1.1\r\nHost: a\r\nFoo: a\0b\r\n\r\n"],
    [qr/client sent a CR without LF/, "GET /a.txt HTTP/1.1\r\nHost: a\r\nFoo: a\rb\r\n\r\n"],
    [qr/client sent CONNECT method/, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"],
);
for my $case (@refused) {
    my ($line, $bytes) = @$case;
    my $conn = $w->connect;
    $conn->send($bytes . "GET /a.txt HTTP/1.1\r\nHost: smuggled\r\n\r\n");
    my $m = $conn->response;
    ok($m && $m->status =~ /^(4|501)/, "refused: $line") or diag(defined $m ? $m->status : 'nothing');
    ok($conn->closed(8), 'and closed');
    is(scalar(() = $w->error_log =~ /$line/g), 1, 'one line in the log');
}
unlike($w->error_log, qr/smuggled/, 'what came after was not taken for a request');
is(scalar(grep { /smuggled|" 200 / } $w->access_log), 0, 'nor answered');

# An answer to HEAD has no body, even where the line could not be read.
{
    my $plain = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%%; } }\n")->start;
    for (['HEAD / HTTP/2.0', 505], ['HEAD / HTTP/x', 400], ['HEAD /' . 'a' x 40000 . ' HTTP/1.1', 414]) {
        my ($line, $status) = @$_;
        like($plain->raw_all("$line\r\nHost: a\r\n\r\n"), qr{\AHTTP/1\.1 $status [^\r]+\r\n(?:[^\r\n]+\r\n)+\r\n\z}, substr($line, 0, 20) . ": $status without a body");
    }
}
done_testing;
