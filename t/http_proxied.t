# The PROXY protocol on listen: the header is taken off, whole or in pieces; without it the connection ends.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $conf = <<'EOC';
events { }
http {
    root %%TESTDIR%%/html;
    server { listen 127.0.0.1:%%PORT_0%% proxy_protocol; client_header_timeout 500ms; return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port $remote_addr $request_uri"; }
}
EOC
my $get = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
my $v4 = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x30\x39\x01\xbb";
sub pieces { my ($bytes, $n) = @_; return sub { my $c = $_[0]->connect; $c->send($_) for $bytes =~ /(.{1,$n})/sg; $c->response } }
Weir->compare($conf, [
    'TCP4' => "PROXY TCP4 1.2.3.4 5.6.7.8 1234 443\r\n$get",
    'TCP6' => "PROXY TCP6 ::1 2001:db8::2 1234 443\r\n$get",
    'UNKNOWN' => "PROXY UNKNOWN\r\n$get",
    'version 2' => "$v4$get",
    'version 2, LOCAL' => "\r\n\r\n\0\r\nQUIT\n\x20\x00\0\x00$get",
    'none' => $get,
    'broken' => "PROXY TCP4 1.2.3.4\r\n$get",
    'in pieces' => pieces("PROXY TCP4 1.2.3.4 5.6.7.8 1234 443\r\n$get", 200),
    'half of it' => "PROXY TCP4 1.2.",
]);
my $w = Weir->new(conf => $conf)->start;
is(pieces("$v4$get", 3)->($w)->body, '1.2.3.4 12345 5.6.7.8 443 127.0.0.1 /a', 'version 2 in small pieces');
is($w->raw($get), undef, 'without a header');
ok($w->wait_error(qr/\[error\] .*broken header: "GET \/a HTTP\/1.1.*while reading PROXY protocol, client: 127.0.0.1, server: 127.0.0.1:\d+/s), 'is an error');
done_testing;
