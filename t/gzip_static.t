# Files compressed beforehand: gzip_static as nginx has it, brotli_static and zstd_static beside it.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $conf = <<'EOC';
events { }
http {
    types { text/html html; text/css css; application/x-gzip gz; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location / { gzip_static on; }
        location /vary/ { gzip_static on; gzip_vary on; alias %%TESTDIR%%/html/; }
        location /always/ { gzip_static always; gzip_vary on; alias %%TESTDIR%%/html/; }
        location /off/ { gzip_static off; gzip_vary on; alias %%TESTDIR%%/html/; }
        location /any/ { gzip_static on; gzip_vary on; gzip_proxied any; gzip_http_version 1.0; alias %%TESTDIR%%/html/; }
        location /auth/ { gzip_static on; gzip_proxied auth; alias %%TESTDIR%%/html/; }
        location /nolm/ { gzip_static on; gzip_proxied no_last_modified; alias %%TESTDIR%%/html/; }
        location /private/ { gzip_static on; gzip_proxied private no-store no-cache expired; alias %%TESTDIR%%/html/; }
        location /msie6/ { gzip_static on; gzip_disable msie6 "Bad.*bot"; alias %%TESTDIR%%/html/; }
        location /noetag/ { gzip_static on; etag off; alias %%TESTDIR%%/html/; }
        location /try/ { gzip_static on; gzip_vary on; try_files $uri /a.html; alias %%TESTDIR%%/html/; }
        location /ep/ { gzip_static on; gzip_vary on; error_page 404 /a.html; }
    }
}
EOC
my %files = ('html/a.html' => "plain page\n", 'html/a.html.gz' => "zipped\n", 'html/index.html' => 'index', 'html/index.html.gz' => 'zipped index', 'html/none.css' => 'css', 'html/only.html.gz' => "only zipped\n",
    'html/d/x' => 'x', 'html/d.gz' => 'd zipped', 'html/f.html' => 'f', 'html/f.html.gz/x' => 'a folder');
sub get { my ($uri, @fields) = @_; return "GET $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n" }
my $gz = 'Accept-Encoding: gzip';
my $date = 'Tue, 14 Nov 2023 22:13:20 GMT';
my @uris = map { my $l = $_; map { "/$l$_" } qw(a.html none.css only.html f.html missing) } '', qw(vary/ always/ off/ any/ noetag/ try/ ep/);
Weir->compare($conf, [
    map({ ($_ => get($_)) } @uris, '/', '/d', '/d/x', '/vary/', '/always/d'),
    map({ ("$_, gzip" => get($_, $gz)) } @uris, '/', '/d', '/vary/', '/always/d', '/a.html.gz'),
    map({ ("Accept-Encoding: $_" => get('/vary/a.html', "Accept-Encoding: $_")) } 'gzip, deflate', 'deflate, gzip', 'GZIP', 'gzip;q=0', 'gzip;q=0.0', 'gzip;q=0.001', 'gzip; q=1', 'deflate;q=1, gzip;q=0', 'xgzip', 'gzipx', 'deflate', 'br', '', 'gzip;q=2', 'gzip ; q=0.5'),
    map({ my ($l) = $_; map { ("/$l/ with Via" . ($_ ? ' and Authorization' : '') => get("/$l/a.html", $gz, 'Via: 1.1 p', $_ ? 'Authorization: Basic eA==' : ())) } 0, 1 } qw(vary any auth nolm private)),
    map({ ("/msie6/, $_" => get('/msie6/a.html', $gz, "User-Agent: $_")) } 'Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)', 'Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)', 'Mozilla/4.0 (compatible; MSIE 5.0)', 'Mozilla/4.0 (compatible; MSIE 7.0)', 'a bad robot', 'good'),
    'HTTP/1.0' => "GET /vary/a.html HTTP/1.0\r\n$gz\r\n\r\n",
    'HTTP/1.0, allowed' => "GET /any/a.html HTTP/1.0\r\n$gz\r\n\r\n",
    'HEAD' => "HEAD /vary/a.html HTTP/1.1\r\nHost: a\r\n$gz\r\nConnection: close\r\n\r\n",
    'POST' => "POST /vary/a.html HTTP/1.1\r\nHost: a\r\n$gz\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    'not modified' => get('/vary/a.html', $gz, "If-Modified-Since: $date"),
    'another etag' => get('/vary/a.html', $gz, 'If-None-Match: "6553f100-7"'),
    'a range' => get('/vary/a.html', $gz, 'Range: bytes=1-3'),
    'a range beyond' => get('/vary/a.html', $gz, 'Range: bytes=100-'),
    'a precondition' => get('/vary/a.html', $gz, 'If-Match: "x"'),
], files => \%files);

(my $ours = $conf) =~ s/gzip_static on;/gzip_static on; brotli_static on; zstd_static on;/g;
$ours =~ s/gzip_static always;/brotli_static always; gzip_static on;/;
my $w = Weir->new(conf => $ours, files => { %files, 'html/a.html.br' => 'brotli', 'html/a.html.zst' => 'zstd', 'html/none.css.zst' => 'zstd css' })->start;
for my $row (['gzip, br, zstd', 'br'], ['gzip, br;q=0.9, zstd', 'zstd'], ['gzip, br;q=0.9, zstd;q=0.8', 'gzip'], ['gzip;q=0.1', 'gzip'], ['zstd, br;q=0', 'zstd'], ['*', 'br'], ['*;q=0.5, gzip', 'gzip'], ['br;q=0, *', 'zstd'], ['identity', undef], ['br;q=0, gzip;q=0, zstd;q=0', undef]) {
    my ($accept, $want) = @$row;
    my $m = $w->get('/vary/a.html', headers => ['Accept-Encoding' => $accept]);
    is($m->header('Content-Encoding'), $want, "$accept: " . ($want // 'as it is'));
    is($m->header('Vary'), 'Accept-Encoding', "$accept: Vary, once");
    is($m->header('Content-Type'), 'text/html', "$accept: the type of the page");
    my %body = (br => 'brotli', zstd => 'zstd', gzip => "zipped\n");
    is($m->body, $want ? $body{$want} : "plain page\n", "$accept: the right file");
}
is($w->get('/none.css', headers => ['Accept-Encoding' => 'gzip, br, zstd'])->body, 'zstd css', 'what is there is sent');
is($w->get('/always/a.html')->body, 'brotli', 'always: without asking');
is($w->get('/always/a.html', headers => ['Accept-Encoding' => 'gzip'])->body, "zipped\n", 'but what is asked for goes first');
done_testing;
