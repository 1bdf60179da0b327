# brotli, zstd and gzip beside each other: which one, that what comes out is what went in, and that streams flow.
use lib 't/lib';
use Weir;
use Compress::Zlib ();
use Time::HiRes qw(time);

my $text = join '', map { "line $_ of a text that repeats itself, with a number squared: " . $_ * $_ . "\n" } 1 .. 3000;
my %files = ('html/a.html' => $text, 'html/short.html' => 'x' x 19, 'html/big.html' => $text x 30, 'html/a.css' => $text, 'html/a.txt' => $text, 'html/empty.html' => '');
pipe my $letters, my $give or die;
my $up = Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    my $head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: \"up\"\r\nTransfer-Encoding: chunked\r\n";
    if ($req->uri =~ /stream/) {
        $conn->send("$head\r\n");
        while (sysread $letters, my $byte, 1) { last if $byte eq '.'; $conn->send("1\r\n$byte\r\n") }
    } elsif ($req->uri =~ /coded/) {
        $conn->send("${head}Content-Encoding: other\r\n\r\n4\r\nbody\r\n");
    } elsif ($req->uri =~ /cut/) {
        $conn->send("$head\r\n" . sprintf "%x\r\n%s\r\n", length $text, $text);
        $conn->close;
        return undef;
    } else {
        my ($size) = $req->uri =~ /(\d+)/;
        $conn->send("$head\r\n");
        $conn->send(sprintf "%x\r\n%s\r\n", length $_, $_) for $text =~ /(.{1,$size})/gs;
    }
    $conn->send("0\r\n\r\n");
    return undef;
});
my $w = Weir->new(conf => <<'EOC', files => \%files, vars => { UP => $up->addr })->start;
events { }
http {
    types { text/html html; text/css css; text/plain txt; }
    log_format ratios '$uri $brotli_ratio $zstd_ratio $gzip_ratio';
    access_log %%TESTDIR%%/ratios.log ratios;
    gzip_vary on;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        gzip on; brotli on; zstd on;
        brotli_types text/css; zstd_types text/css text/plain; gzip_types text/plain;
        location /files/ { alias %%TESTDIR%%/html/; }
        location /small/ { alias %%TESTDIR%%/html/; brotli_comp_level 11; brotli_window 1k; zstd_comp_level 19; gzip_comp_level 9; brotli_min_length 0; zstd_min_length 0; gzip_min_length 0; }
        location /bufs/ { alias %%TESTDIR%%/html/; brotli_buffers 1 16; zstd_buffers 1 16; gzip_buffers 1 16; brotli_comp_level 0; }
        location /up/ { proxy_pass http://%%UP%%; }
        location /flow/ { proxy_pass http://%%UP%%; proxy_buffering off; }
        location /flow/up { proxy_pass http://%%UP%%; proxy_buffering off; brotli_comp_level 1; zstd_comp_level 3; }
    }
}
EOC
sub coding { my ($uri, $accept, %o) = @_; my $m = $w->get($uri, %o, headers => ['Accept-Encoding', $accept]); return wantarray ? (scalar $m->header("Content-Encoding"), $m) : $m->header('Content-Encoding') // '' }

# The client's weights, then the server's order: br, zstd, gzip; of those that are on for the type.
for my $row (['br, zstd, gzip', 'br'], ['gzip, zstd, br', 'br'], ['gzip, zstd', 'zstd'], ['gzip', 'gzip'], ['gzip;q=1, br;q=0.9', 'gzip'], ['gzip;q=0.8, zstd;q=0.9, br;q=0.1', 'zstd'],
    ['br;q=0, zstd;q=0, gzip;q=0.001', 'gzip'], ['br;q=0, gzip;q=0, zstd;q=0', ''], ['deflate', ''], ['identity', ''], ['BR', 'br'], ['br;q=0.5, gzip;q=0.5', 'br']) {
    is(coding('/files/a.html', $row->[0]), $row->[1], "$row->[0]: $row->[1]");
}
is(coding('/files/a.css', 'gzip, br;q=0.1'), 'br', 'gzip is not for css');
is(coding('/files/a.txt', 'br, gzip;q=0.1'), 'gzip', 'br is not for text');
is(coding('/files/short.html', 'br, zstd, gzip'), '', 'too short');
is(coding('/up/coded', 'br, gzip'), 'other', 'coded already');
is(coding('/files/a.html', 'br', version => '1.0'), '', 'HTTP/1.0');

my ($c, $m) = coding('/files/a.html', 'br');
is($m->header('Vary'), 'Accept-Encoding', 'Vary');
like($m->header('ETag'), qr{^W/"}, 'a weak ETag');
is($m->header('Content-Length'), undef, 'no length');
is($m->header('Accept-Ranges'), undef, 'no ranges');
($c, $m) = coding('/files/a.html', 'zstd', method => 'HEAD');
is($m->header('Content-Encoding'), 'zstd', 'HEAD');
($c, $m) = coding('/files/a.html', 'none');
is($m->header('Vary'), 'Accept-Encoding', 'Vary of what is sent as it is');
is($w->get('/files/a.html', headers => ['Accept-Encoding', 'br', 'If-None-Match', $w->get('/files/a.html', headers => ['Accept-Encoding', 'br'])->header('ETag')])->status, 304, 'the weak ETag comes back: 304');

# What comes out is what went in: curl knows all three.
sub curl { my ($accept, $uri) = @_; open my $out, '-|', 'curl', '-s', '--max-time', '30', '--compressed', '-H', "Accept-Encoding: $accept", '-w', '%{http_code}', 'http://127.0.0.1:' . $w->port(0) . $uri or die; local $/; my $got = <$out>; close $out; return $got }
for my $coding (qw(br zstd gzip)) {
    is(curl($coding, $_), $text . 200, "$coding $_") for qw(/files/a.html /small/a.html /bufs/a.html /up/1000 /flow/1000);
    is(curl($coding, '/small/empty.html'), '200', "$coding, an empty body");
    ok(curl($coding, '/files/big.html') eq $text x 30 . 200, "$coding, a long one");
    my $cut = $w->raw("GET /up/cut HTTP/1.1\r\nHost: a\r\nAccept-Encoding: $coding\r\n\r\n");
    ok(!$cut->complete, "$coding: a body that was cut is cut for the client too");
}

# A byte now is a byte now.
for my $coding (qw(br zstd gzip)) {
    my $pid = open my $out, '-|', 'curl', '-sN', '--max-time', '30', '--compressed', '-H', "Accept-Encoding: $coding", 'http://127.0.0.1:' . $w->port(0) . '/flow/up/stream' or die;
    my $got = '';
    for my $letter ('a' .. 'z') {
        syswrite $give, $letter;
        my $bits = '';
        vec($bits, fileno $out, 1) = 1;
        last unless select $bits, undef, undef, 5;
        sysread $out, $got, 100, length $got;
        last if $got !~ /$letter$/;
    }
    is($got, join('', 'a' .. 'z'), "$coding, byte by byte");
    syswrite $give, '.';
    ok(!sysread($out, $got, 100) && close $out, "$coding, the end");
}

my %ratios = map { my ($uri, @r) = split / /; ("$uri @r" => 1) } $w->wait_access(1, 'ratios.log');
ok((grep { m{^/files/a.html \d+\.\d\d - -$} } keys %ratios), '$brotli_ratio');
ok((grep { m{^/files/a.html - \d+\.\d\d -$} } keys %ratios), '$zstd_ratio');

for my $bad (['brotli_comp_level 12', 'must be'], ['brotli_window 3k', 'must be 1k, 2k'], ['zstd_comp_level 23', 'must be'], ['brotli maybe', 'it must be "on" or "off"']) {
    my $x = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%%; $bad->[0]; } }\n");
    like(($x->t_binary)[1], qr/\Q$bad->[1]\E/, "$bad->[0] is refused");
}
done_testing;
