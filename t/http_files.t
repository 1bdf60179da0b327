# Files, as nginx serves them: types, index, redirects of folders, alias, try_files, conditions, ranges, error pages.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $conf = <<'EOC';
events { }
http {
    types { text/html html htm; text/css css; application/json JSON; }
    default_type application/octet-stream;
    server { listen 127.0.0.1:%%PORT_1%%; return 200 "up $request_uri\n"; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name one.test;
        root %%TESTDIR%%/html;
        location / { index index.html index.htm; }
        location /other/ { index none.html other.txt; }
        location /abs/ { index none.html /a.html; }
        location /noetag/ { etag off; root %%TESTDIR%%/html; }
        location /al/ { alias %%TESTDIR%%/html/sub/; }
        location = /exact { alias %%TESTDIR%%/html/a.html; }
        location ~ ^/re/(.*)\.x$ { alias %%TESTDIR%%/html/$1; }
        location /try/ { try_files $uri $uri/ /a.html?from=try; }
        location /trycode/ { try_files $uri =404; }
        location /trynamed/ { try_files $uri @named; }
        location /tryalias/ { alias %%TESTDIR%%/html/sub/; try_files $uri /a.html; }
        location /trypass/ { try_files $uri /a.html =404; proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location @named { root %%TESTDIR%%/named; try_files /n.txt =404; }
        location /before/ { if_modified_since before; alias %%TESTDIR%%/html/; }
        location /never/ { if_modified_since off; alias %%TESTDIR%%/html/; }
        location /two/ { max_ranges 2; alias %%TESTDIR%%/html/; }
        location /none/ { max_ranges 0; alias %%TESTDIR%%/html/; }
        location /priv/ { internal; alias %%TESTDIR%%/html/; }
        location /ep/ { error_page 404 /a.html; }
        location /ep200/ { error_page 404 =200 /a.html; }
        location /epown/ { error_page 404 = /a.html; }
        location /epnamed/ { error_page 404 = @named; }
        location /epout/ { error_page 404 http://out.test/x; }
        location /ep301/ { error_page 404 =301 http://out.test/x; }
        location /epmissing/ { error_page 404 /nothing.html; }
        location /eprec/ { error_page 404 /eprec2/x; recursive_error_pages on; }
        location /eprec2/ { error_page 404 =402 /a.html; recursive_error_pages on; }
        location /epvar/ { error_page 404 /$arg_to; }
        location /eppriv/ { error_page 404 /priv/a.html; }
        location /limit/ { alias %%TESTDIR%%/html/; limit_except POST { } }
        location /rel/ { absolute_redirect off; root %%TESTDIR%%/html; }
        location /sname/ { server_name_in_redirect on; root %%TESTDIR%%/html; }
        location /noport/ { port_in_redirect off; root %%TESTDIR%%/html; }
        location /nopad/ { msie_padding off; }
    }
}
EOC
my %files = map { ("html/$_->[0]" => $_->[1]) } ['index.html', "index\n"], ['a.html', "A page\n"], ['a.CSS', 'css'], ['a.json', '{}'], ['a', 'none'], ['.hidden', 'h'],
    ['sub/index.htm', "sub\n"], ['sub/s.txt', "s\n"], ['other/other.txt', 'o'], ['abs/x', 'x'], ['digits', join('', map { $_ % 10 } 0 .. 99)], ['empty', ''],
    ['noetag/x.html', 'x'], ['rel/d/x', 'x'], ['sname/d/x', 'x'], ['noport/d/x', 'x'], ['name with space/x', 'x'], ['try/t.txt', 't'], ['try/d/index.html', 'd'], ['big', join '', map { "n$_\n" } 1 .. 60000];
$files{'named/n.txt'} = "named\n";
sub get { my ($uri, @fields) = @_; return "GET $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n" }
sub ask { my ($what, @rest) = @_; return ("$what @rest" => get($what, @rest)) }
my $date = 'Tue, 14 Nov 2023 22:13:20 GMT';

Weir->compare($conf, [
    map({ ask($_) } qw(/ /index.html /a.html /a.CSS /a.json /a /.hidden /empty /big /sub /sub/ /sub?x=1 /other/ /abs/ /none /a.html/ /a.html/x /noetag/x.html
        /al/s.txt /al/ /al /exact /re/a.html.x /re/none.x /try/t.txt /try/d/ /try/d /try/none /trycode/x /trynamed/x /tryalias/s.txt /tryalias/none /trypass/x /trypass/%78?q
        /priv/a.html /ep/x /ep200/x /epown/x /epnamed/x /epout/x /ep301/x /epmissing/x /eprec/x /epvar/x?to=a.html /epvar/x?to=nowhere /eppriv/x
        /limit/a.html /rel/d /sname/d /noport/d /name%20with%20space /name%20with%20space?a=%20b /%61.html /sub/../a.html //a.html /sub//s.txt /./a.html)),
    'a long name' => get('/' . 'a' x 300),
    'HEAD' => "HEAD /a.html HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    'HEAD to an error page' => "HEAD /ep/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    'POST' => "POST /a.html HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
    'POST past limit_except' => "POST /limit/a.html HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
    'HTTP/1.0' => "GET /a.html HTTP/1.0\r\n\r\n",
    'HTTP/1.0 keep-alive' => "GET /a.html HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    'a redirect without host' => "GET /sub HTTP/1.0\r\n\r\n",
    'no type at all' => get('/a', 'Accept: x/y'),
    map({ ask('/a.html', $_) } "If-Modified-Since: $date", 'If-Modified-Since: Tue, 14 Nov 2023 22:13:21 GMT', 'If-Modified-Since: Tue, 14 Nov 2022 22:13:20 GMT', 'If-Modified-Since: rubbish',
        "If-Unmodified-Since: $date", 'If-Unmodified-Since: Tue, 14 Nov 2022 22:13:20 GMT', 'If-Match: "6553f100-7"', 'If-Match: "x"', 'If-Match: *', 'If-None-Match: "6553f100-7"',
        'If-None-Match: W/"6553f100-7"', 'If-None-Match: "a", "6553f100-7"', 'If-None-Match: *', 'If-None-Match: "a"'),
    'both conditions hold' => get('/a.html', "If-Modified-Since: $date", 'If-None-Match: "6553f100-7"'),
    'one condition does not' => get('/a.html', "If-Modified-Since: $date", 'If-None-Match: "x"'),
    'before' => get('/before/a.html', 'If-Modified-Since: Tue, 14 Nov 2025 22:13:20 GMT'),
    'never' => get('/never/a.html', "If-Modified-Since: $date"),
    map({ ask('/digits', "Range: bytes=$_") } qw(0-0 0-9 10- -10 -200 0-99 0-200 99- 100- 50-40 x 5-x - 5), '0-0,', '1-2,200-300', '200-300,400-500', '0-59,20-99'),
    'a large range of a large file' => get('/big', 'Range: bytes=1000-200000'),
    'range, If-Range holds' => get('/digits', 'Range: bytes=0-4', 'If-Range: "6553f100-64"'),
    'range, If-Range does not' => get('/digits', 'Range: bytes=0-4', 'If-Range: "x"'),
    'range, If-Range date' => get('/digits', 'Range: bytes=0-4', "If-Range: $date"),
    'range, other unit' => get('/digits', 'Range: lines=0-4'),
    'range, one too many' => get('/two/digits', 'Range: bytes=0-1,4-5,7-8'),
    'range, none allowed' => get('/none/digits', 'Range: bytes=0-1'),
    'range of an empty file' => get('/empty', 'Range: bytes=0-1'),
    'range and HEAD' => "HEAD /digits HTTP/1.1\r\nHost: a\r\nConnection: close\r\nRange: bytes=0-4\r\n\r\n",
    'padding for MSIE' => get('/none', 'User-Agent: Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1)'),
    'padding for Chrome' => get('/none', 'User-Agent: Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/100.0 Safari/537.36'),
    'no padding' => get('/nopad/x', 'User-Agent: Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1)'),
], files => \%files);

# Several ranges: the boundary is another each time.
my ($n, $w) = map { Weir->new(conf => $conf, files => \%files, $_ ? (binary => $Weir::nginx) : ())->start } 1, 0;
for my $range ('0-9,20-29', '-5,0-0', '0-0,5-5,90-', ' 0-1 , 5-6') {
    my @seen = map { my $m = $_->raw(get('/digits', "Range: bytes=$range")); my ($b) = $m->header('Content-Type') =~ /boundary=(\S+)/; my $t = $m->status . $m->header('Content-Length') . $m->body; $t =~ s/\Q$b\E/BOUNDARY/g; $t } $n, $w;
    is($seen[1], $seen[0], "ranges $range: as nginx");
}

# The order of header lines.
sub order { my $m = shift; return join ' ', map { $_->[0] } @{ $m->headers } }
for my $bytes (get('/a.html'), get('/sub'), get('/ep301/x'), get('/none'), get('/digits', 'Range: bytes=0-1'), get('/a.html', "If-Modified-Since: $date"), get('/digits', 'Range: bytes=100-')) {
    is(order($w->raw($bytes)), order($n->raw($bytes)), 'order of ' . (split /\n/, $bytes)[0]);
}

# What the log says.
$n->stop; $w->stop;
sub lines { my $s = shift; my $t = $s->error_log; my $p = $s->port(0); $t =~ s/\Q$s->{dir}\E/DIR/g; $t =~ s/:$p\b/:PORT/g; return join '', map { s/^\S+ \S+ //; s/\d+#\d+: \*\d+ //; "$_\n" } grep { /\[(error|crit|warn)\]/ } split /\n/, $t }
is(lines($w), lines($n), 'error lines as nginx');
like($w->error_log, qr{\[error\] \d+#\d+: \*\d+ open\(\) "\S+/html/none" failed \(2: No such file or directory\), client: 127.0.0.1, server: one.test, request: "GET /none HTTP/1.1", host: "h.test"}, 'a file that is not there');

done_testing;
