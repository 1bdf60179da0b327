# sub_filter: as nginx, with words across the pieces that an upstream sends.
use lib 't/lib';
use Weir;

my $page = "<html><head><title>A Page</title></head>\n<body>one two ONE three abcabc aabaab</body></html>\n";
my %files = ('html/a.html' => $page, 'html/b.txt' => $page, 'html/empty.html' => '', 'html/big.html' => join('', map { "n$_ one </body> " } 1 .. 30000), 'html/none.html' => 'zzzz' x 5000);
my $pieces = Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    my ($size) = $req->uri =~ m{/(\d+)};
    $conn->send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nLast-Modified: Mon, 28 Sep 1970 06:00:00 GMT\r\nETag: \"up\"\r\nAccept-Ranges: bytes\r\nTransfer-Encoding: chunked\r\n\r\n");
    $conn->send(sprintf "%x\r\n%s\r\n", length $_, $_) for $page =~ /(.{1,$size})/gs;
    $conn->send("0\r\n\r\n");
    return undef;
});
my $conf = <<'EOC';
events { }
http {
    types { text/html html; text/plain txt; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location /none/ { alias %%TESTDIR%%/html/; }
        location /one/ { alias %%TESTDIR%%/html/; sub_filter one 1; }
        location /all/ { alias %%TESTDIR%%/html/; sub_filter one 1; sub_filter_once off; }
        location /several/ { alias %%TESTDIR%%/html/; sub_filter_once off; sub_filter abc X; sub_filter ab Y; sub_filter aab Z; sub_filter </Body> '<i>$uri</i></body>'; }
        location /order/ { alias %%TESTDIR%%/html/; sub_filter_once off; sub_filter ab Y; sub_filter abc X; sub_filter 'one two one three abc' longest; }
        location /once/ { alias %%TESTDIR%%/html/; sub_filter one 1; sub_filter two 2; sub_filter three ''; }
        location /vars/ { alias %%TESTDIR%%/html/; sub_filter_once off; sub_filter $arg_a <$arg_b>; sub_filter "$arg_c" c; }
        location /types/ { alias %%TESTDIR%%/html/; sub_filter_types text/plain; sub_filter one 1; }
        location /any/ { alias %%TESTDIR%%/html/; sub_filter_types *; sub_filter one 1; }
        location /modified/ { alias %%TESTDIR%%/html/; sub_filter_last_modified on; sub_filter one 1; }
        location /gzip/ { alias %%TESTDIR%%/html/; sub_filter one 1; sub_filter_once off; gzip on; gzip_types text/plain; }
        location /301 { sub_filter 301 302; return 301 /x; }
        location /up/ { proxy_pass http://%%UP%%; sub_filter 'one two one three abc' X; sub_filter aab Z; sub_filter html H; sub_filter_once off; }
        location /unbuffered/ { proxy_pass http://%%UP%%; proxy_buffering off; sub_filter 'one two one three abc' X; sub_filter aab Z; sub_filter_last_modified on; }
        location /head/ { proxy_pass http://%%UP%%; proxy_method GET; sub_filter one 1; }
    }
}
EOC
sub ask { my ($uri, %h) = @_; my $m = delete $h{method} // 'GET'; return "$m $uri HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" . join('', map { "$_: $h{$_}\r\n" } sort keys %h) . "\r\n" }
my @list = map { ($_ => ask($_)) } qw(/none/a.html /one/a.html /one/empty.html /one/none.html /one/b.txt /all/a.html /all/big.html /several/a.html /several/big.html /order/a.html
    /once/a.html /vars/a.html /vars/a.html?a=one&b=1 /vars/a.html?a=one&b=1&c=two /types/b.txt /types/a.html /any/b.txt /modified/a.html /301 /one/missing);
push @list, map { ("pieces $_" => ask($_)) } map { ("/up/$_", "/unbuffered/$_") } 1, 2, 3, 7, 100;
push @list, 'HEAD' => ask('/one/a.html', method => 'HEAD'), 'Range' => ask('/one/a.html', Range => 'bytes=1-2'), 'gzip' => ask('/gzip/a.html', 'Accept-Encoding' => 'gzip'), 'gzip big' => ask('/gzip/big.html', 'Accept-Encoding' => 'gzip');
push @list, 'If-Modified-Since' => ask('/one/a.html', 'If-Modified-Since' => 'Tue, 14 Nov 2023 22:13:20 GMT');
Weir->compare($conf, \@list, files => \%files, vars => { UP => $pieces->addr });

my $x = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%%; sub_filter '' x; } }\n");
like(($x->t_binary)[1], qr/empty search pattern/, 'an empty word is refused');
done_testing;
