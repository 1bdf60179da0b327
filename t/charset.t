# charset: names and recoding as nginx.
use lib 't/lib';
use Weir;

my %files = ('html/a.html' => "<p>\xcf\xf0\xe8\xe2\xe5\xf2 \x98\xa8 plain", 'html/u.html' => "<p>\xd0\x9f\xd1\x80\xd0\xb8 \xe2\x82\xac \xf0\x9f\x98\x80 \xc3\xa9 \xc4\x80", 'html/bad.html' => "\xff\xf0\x9f\x98\x80 \xd0 \xc3\xa9\xd0", 'html/a.txt' => 'text', 'html/a.png' => 'png', 'html/big.html' => "\xcf\xf0" x 40000, 'html/ubig.html' => "\xd0\x9f\xd1\x80x" x 20000);
my $up = Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    my ($type) = $req->uri =~ /t=([^&]*)/;
    my $body = $files{'html/u.html'};
    return [200, ['Content-Type', $type =~ s/\+/ /gr, ($req->uri =~ /gzip/ ? ('Content-Encoding', 'gzip') : ()), ($req->uri =~ /x=(.*)/ ? ('X-Accel-Charset', $1) : ())], $body] unless $req->uri =~ /bytes/;
    $conn->send("HTTP/1.1 200 OK\r\nContent-Type: $type\r\nTransfer-Encoding: chunked\r\n\r\n");
    $conn->send("1\r\n$_\r\n") for split //, $body;
    $conn->send("0\r\n\r\n");
    return undef;
});
my $map = join '', map { sprintf "%02X %02X;\n", @$_ } [0xcf, 0xf0], [0xf0, 0xd2], [0xe8, 0xc9], [0xe2, 0xd7], [0xe5, 0xc5], [0xf2, 0xd4];
my $umap = join '', map { sprintf "%02X %s;\n", @$_ } [0xcf, 'D09F'], [0xf0, 'D180'], [0xe8, 'D0B8'], [0x98, 'E282AC'], [0xe9, 'C3A9'];
my $conf = <<"EOC";
events { }
http {
    types { text/html html; text/plain txt; image/png png; }
    charset_map windows-1251 koi8-r { $map }
    charset_map windows-1251 utf-8 { $umap }
    map \$arg_c \$to { default utf-8; koi koi8-r; no latin7; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location /name/ { alias %%TESTDIR%%/html/; charset latin1; }
        location /off/ { alias %%TESTDIR%%/html/; charset off; }
        location /koi/ { alias %%TESTDIR%%/html/; charset koi8-r; source_charset windows-1251; }
        location /same/ { alias %%TESTDIR%%/html/; charset Windows-1251; source_charset windows-1251; }
        location /utf/ { alias %%TESTDIR%%/html/; charset UTF-8; source_charset windows-1251; }
        location /back/ { alias %%TESTDIR%%/html/; charset windows-1251; source_charset utf-8; }
        location /var/ { alias %%TESTDIR%%/html/; charset \$to; source_charset windows-1251; }
        location /types/ { alias %%TESTDIR%%/html/; charset latin1; charset_types image/png; }
        location /any/ { alias %%TESTDIR%%/html/; charset latin1; charset_types *; }
        location /301 { charset latin1; default_type text/html; return 301 /x; }
        location /404 { charset latin1; return 404; }
        location /up/ { proxy_pass http://%%UP%%; charset windows-1251; source_charset utf-8; }
        location /accel/ { proxy_pass http://%%UP%%; source_charset utf-8; }
        location /deaf/ { proxy_pass http://%%UP%%; source_charset utf-8; proxy_ignore_headers X-Accel-Charset; }
        location /over/ { proxy_pass http://%%UP%%; charset windows-1251; override_charset on; }
        location /flow/ { proxy_pass http://%%UP%%; charset windows-1251; source_charset utf-8; proxy_buffering off; }
        location /if/ { alias %%TESTDIR%%/html/; if (\$arg_c) { charset latin2; } }
    }
}
EOC
my @uris = qw(/name/a.html /name/a.txt /name/a.png /off/a.html /koi/a.html /koi/big.html /same/a.html /utf/a.html /utf/big.html /back/u.html /back/bad.html /back/ubig.html /var/a.html /var/a.html?c=koi
    /var/a.html?c=no /types/a.png /types/a.html /types/a.txt /any/a.png /301 /404 /if/a.html /if/a.html?c=1 /up/?t=text/html /up/?t=text/html;+charset=utf-8 /up/?t=text/html;+charset=UTF-8 /up/?t=text/html;charset=other
    /over/?t=text/html;+charset=utf-8 /over/?t=text/html;+charset="utf-8" /over/?t=text/html;+charset=koi8-r /over/?t=text/html /over/?t=image/png;+charset=utf-8 /up/?t=text/html&gzip /flow/?t=text/html&bytes
    /accel/?t=text/html&x=windows-1251 /accel/?t=text/html&x=Windows-1251 /accel/?t=text/html&x=none /deaf/?t=text/html&x=windows-1251 /up/?t=text/html&x=utf-8);
my @list = map { ("GET $_" => "GET $_ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") } @uris;
push @list, "HEAD $_" => "HEAD $_ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" for qw(/koi/a.html /utf/a.html);
push @list, "Range $_" => "GET $_ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nRange: bytes=3-4\r\n\r\n" for qw(/koi/a.html /utf/a.html);
Weir->compare($conf, \@list, files => \%files, vars => { UP => $up->addr }, differ => {
    'GET /back/bad.html' => 'a broken code never takes the bytes behind it along' });

for my $bad (['charset_map a A { }', '"charset_map" between the same charsets "a" and "A"'], ['charset_map a b { } charset_map b a { }', 'duplicate "charset_map" between "b" and "a"'],
    ['charset_map a b { 80; }', 'invalid parameters number'], ['charset_map a b { 80 123; }', 'invalid value "123"'], ['charset_map a utf-8 { 80 FF; }', 'invalid value "FF"'],
    ['source_charset a; charset b', 'no "charset_map" between the charsets "a" and "b"']) {
    my $x = Weir->new(conf => "events { }\nhttp { $bad->[0]" . ($bad->[0] =~ /}$/ ? '' : ';') . " server { listen 127.0.0.1:%%PORT_0%%; } }\n");
    like(($x->t_binary)[1], qr/\Q$bad->[1]\E/, "$bad->[0]: $bad->[1]");
}
done_testing;
