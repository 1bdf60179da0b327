# ssi, what t/ssi.t leaves out: dates in every format, includes with what else they may have, limits of values, the types and times of pages, errors in the log.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $back = Weir::Backend->new(sub {
    my ($req) = @_;
    my ($what) = $req->uri =~ m{^/up/(\w*)};
    return [200, ['Content-Type' => 'text/html', 'X-One' => 'one', 'Set-Cookie' => 'a=1', 'Last-Modified' => 'Mon, 28 Sep 1970 06:00:00 GMT', ETag => '"x"', 'Content-Length' => 9], '<p>headed'] if $what eq 'headed';
    return [200, ['Content-Type' => 'text/plain'], 'plain <!--#echo var="uri" -->'] if $what eq 'plain';
    return [200, ['Content-Type' => 'text/html', 'Content-Encoding' => 'gzip'], 'gz <!--#echo var="uri" -->'] if $what eq 'coded';
    return [304, [ETag => '"x"'], ''] if $what eq 'same';
    return [302, [Location => '/x'], 'moved'] if $what eq 'moved';
    return [500, ['Content-Type' => 'text/html'], 'five hundred'] if $what eq 'broken';
    return [206, ['Content-Type' => 'text/html', 'Content-Range' => 'bytes 0-1/5'], 'ab'] if $what eq 'part';
    return [200, ['Content-Type' => 'text/html'], join '|', $req->method, $req->uri, map { my $n = $_; "$n=" . ($req->header($n) // '-') } qw(Host Cookie Range If-Modified-Since Accept-Encoding Content-Length Content-Type X-Own)];
});
my @formats = ('%A, %d-%b-%Y %H:%M:%S %Z', '%Y', '%y', '%m/%d/%y', '%j', '%U', '%w', '%a %b %e', '%p', '%c', '%x %X', '%%', '%n', '%t|', '%D', '%T', '%R', '%r', '%F', '%G-%V', '%C', '%u', '%z', '%h', '', ' ', 'plain', '%', '%Q', '%Es', 'x' x 100, '%Y' x 30);
my $conf = <<'EOC';
events { }
http {
    types { text/html html; text/plain txt; text/css css; application/xhtml+xml xhtml; }
    proxy_http_version 1.1; proxy_set_header Connection "";
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        ssi on;
        error_page 404 /404.html;
        location / { }
        location /up/ { proxy_pass http://%%BACK%%; proxy_set_header X-Own "$uri $request_uri $request_method"; }
        location /ims/ { proxy_pass http://%%BACK%%/up/; proxy_set_header If-Modified-Since $http_if_modified_since; }
        location /any/ { ssi_types *; alias %%TESTDIR%%/html/; }
        location /two/ { ssi_types text/css text/plain; alias %%TESTDIR%%/html/; }
        location /xhtml/ { ssi_types application/xhtml+xml; alias %%TESTDIR%%/html/; }
        location /modified/ { ssi_last_modified on; alias %%TESTDIR%%/html/; }
        location /notmodified/ { ssi_last_modified off; alias %%TESTDIR%%/html/; }
        location /upmod/ { ssi_last_modified on; proxy_pass http://%%BACK%%/up/; }
        location /silent/ { ssi_silent_errors on; alias %%TESTDIR%%/html/; }
        location /chunk/ { ssi_min_file_chunk 1; sendfile on; alias %%TESTDIR%%/html/; }
        location /chunk9/ { ssi_min_file_chunk 9m; alias %%TESTDIR%%/html/; }
        location /v0/ { ssi_value_length 1; alias %%TESTDIR%%/html/; }
        location /v16/ { ssi_value_length 16; alias %%TESTDIR%%/html/; }
        location /v9/ { ssi_value_length 9k; alias %%TESTDIR%%/html/; }
        location /auth/ { auth_basic x; auth_basic_user_file %%TESTDIR%%/none; alias %%TESTDIR%%/html/; }
        location /denied/ { deny all; alias %%TESTDIR%%/html/; }
        location /ret/ { default_type text/html; return 200 "<!--#echo var=\"uri\" -->[$uri|$args|$request_uri|$request_method|$status]"; }
        location /hdr/ { add_header X-Sub sub; default_type text/html; return 200 "hdr"; }
        location /rw/ { rewrite ^/rw/(.*)$ /ret/$1?rw=1; }
        location /try/ { try_files /none /b.txt; }
        location /named/ { try_files /none @named; }
        location @named { default_type text/html; return 200 "named $uri"; }
        location /dir/ { index b.txt; alias %%TESTDIR%%/html/; }
        location /cond/ { alias %%TESTDIR%%/html/; if ($arg_a) { ssi off; } }
        location /x400 { return 400; } location /x204 { return 204; } location /x301 { return 301 /b.txt; } location /x500 { return 500; }
        location /cookie/ { userid on; add_header Set-Cookie "s=1"; default_type text/html; return 200 "cookie"; }
    }
}
EOC
my %page = (
    dates => join('', map { my $z = $_; map { qq([<!--#config timefmt="$_" --><!--#echo var="$z" -->]\n) } @formats } 'date_gmt', 'date_local'),
    date => '<!--#echo var="date_local" encoding="none" -->|<!--#echo var="date_gmt" default="no" -->|<!--#config timefmt="%s" --><!--#echo var="date_local" -->',
    headed => '<!--#include virtual="/up/headed" -->|<!--#include virtual="/hdr/x" -->|<!--#include virtual="/cookie/x" wait="yes" -->',
    kinds => join('|', map { qq(<!--#include virtual="/up/$_" -->) } qw(plain coded same moved broken part other)),
    codes => join('|', map { qq(<!--#include virtual="$_" -->) } qw(/x400 /x204 /x301 /x500 /auth/b.txt /denied/b.txt /none /dir/ /sub /sub/ /rw/x /try/x /named/x /ret/x?y=z)),
    codesset => join('|', map { my $n = $_ =~ tr/a-z0-9//cdr; qq(<!--#include virtual="$_" set="$n" -->[<!--#echo var="$n" -->]) } qw(/x400 /x204 /x301 /x500 /denied/b.txt /none /dir/ /rw/x /try/x /named/x /ret/x?y=z /b.txt)),
    codesstub => '<!--#block name="s" -->STUB<!--#endblock -->' . join('|', map { qq(<!--#include virtual="$_" stub="s" -->) } qw(/x400 /x204 /x301 /x500 /denied/b.txt /none /dir/ /rw/x /try/x /up/broken /up/moved)),
    posted => '<!--#include virtual="/up/x" -->|<!--#include virtual="/ret/x" -->|<!--#include virtual="/up/y?a=$arg_a" -->|<!--#include virtual="/up/$arg_a" -->|<!--#include virtual="/up/z?$args" -->',
    values => '<!--#set var="a" value="0123456789" --><!--#set var="b" value="0123456789abcdefghij" -->[<!--#echo var="a" -->][<!--#echo var="b" -->]<!--#if expr="$a = 0123456789" -->y<!--#endif -->' . '<!--#set var="c" value="' . 'c' x 255 . '" --><!--#set var="d" value="' . 'd' x 256 . '" --><!--#set var="e" value="' . 'e' x 257 . '" -->[<!--#echo var="c" -->][<!--#echo var="d" -->][<!--#echo var="e" -->]<!--#set var="f" value="' . 'f' x 8000 . '" -->[<!--#echo var="f" -->]',
    grow => '<!--#set var="a" value="xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" -->' . '<!--#set var="a" value="$a$a" -->' x 6 . '[<!--#echo var="a" -->]',
    specials => join('|', map { qq(<!--#echo var="$_" encoding="none" -->) } qw(query_string QUERY_STRING request_method http_host HTTP_HOST server_port document_uri DOCUMENT_NAME LAST_MODIFIED date_gmt_ arg_a args status http_cookie cookie_a remote_user content_length uid_got)),
    nestif => '<!--#if expr="$arg_a = 1" --><!--#if expr="$arg_b = 1" -->11<!--#else -->10<!--#endif --><!--#else --><!--#if expr="$arg_b = 1" -->01<!--#else -->00<!--#endif --><!--#endif -->|<!--#endif -->|<!--#else -->|<!--#elif expr="a" -->|<!--#if expr="$arg_a" -->open',
    regexes => join('|', map { qq(<!--#if expr="\$arg_a $_" -->y<!--#echo var="1" default="-" --><!--#else -->n<!--#endif -->) } '= /(a+)/', '!= /(a+)/', '= /^$/', '= /[/]/', '= /(?<n>b)/', '= /x|(a)/', '= /\\d/', '= "/a/"', "= '/a/'", '= /A/i', '= /(/', '=/a/', '= /a/ '),
    configs => '<!--#wrong --><!--#config errmsg="e1" --><!--#wrong --><!--#config errmsg="" --><!--#wrong --><!--#config --><!--#config sizefmt="bytes" --><!--#config errmsg="<b>&$arg_a</b>" --><!--#wrong -->|<!--#include virtual="/wrong.html" -->',
    wrong => '[<!--#wrong -->]',
    blocks => '<!--#block name="a" -->A<!--#block name="b" -->B<!--#endblock -->C<!--#endblock -->D|<!--#endblock -->|<!--#block -->x<!--#endblock -->|<!--#block name="" -->y<!--#endblock -->|<!--#include virtual="/none" stub="" -->|<!--#block name="a" -->again<!--#endblock --><!--#include virtual="/x500" stub="a" -->|<!--#block name="open" -->never',
    stubinc => '<!--#block name="s" -->(<!--#include virtual="/b.txt" --><!--#echo var="uri" --><!--#set var="q" value="1" --><!--#if expr="$q" -->Q<!--#endif -->)<!--#endblock --><!--#include virtual="/x204" stub="s" -->[<!--#echo var="q" -->]',
    files => join('|', map { qq(<!--#include file="$_" -->) } 'b.txt', 'sub/c.txt', '../b.txt', '/b.txt', './b.txt', 'none.txt', '', 'b.txt?x', 'sub/', 'b%2etxt'),
    long => 'x' x 5000 . '<!--#echo var="uri" -->' . 'y' x 70000 . '<!--#include virtual="/b.txt" -->' . 'z' x 5000,
    edge => join('', map { 'e' x $_ . '<!--#echo var="arg_a" -->' } 4060 .. 4100),
    quotes => q(<!--#set var='a' value='it is "q"' --><!--#echo var='a' encoding='none' -->|<!--#set var="b" value='$a!' --><!--#echo var="b" encoding="none" -->|<!--#set var="c" value="\'x\'" --><!--#echo var="c" encoding="none" -->|<!--#echo var="arg_a"default="x"-->|<!--#echo	var="arg_a"	-->),
    deep => 'deep<!--#include virtual="/deep.html?$args" -->',
    '404' => 'NOT FOUND <!--#echo var="uri" -->',
);
my %files = ('html/b.txt' => "b\n", 'html/sub/c.txt' => 'c', 'html/sub/rel.html' => '<!--#include file="c.txt" -->|<!--#include virtual="c.txt" -->|<!--#include file="../b.txt" -->|<!--#include virtual="/sub/c.txt" -->', 'html/s.css' => 'css <!--#echo var="uri" -->', 'html/s.xhtml' => 'xh <!--#echo var="uri" -->', 'html/noext' => 'no <!--#echo var="uri" -->', map { ("html/$_.html" => $page{$_}) } keys %page);
# What the clock says differs from second to second: digits and names of days and months go.
sub masked {
    my $bytes = shift;
    return sub {
        my $m = shift->raw($bytes) or return undef;
        $m->{body} =~ s/\b(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b/DAY/g, $m->{body} =~ s/\b\d\d:\d\d:\d\d\b/H:M:S/g, $m->{body} =~ s/\b\d{10}\b/EPOCH/g, $m->{body} =~ s/\b\d\d:\d\d\b/H:M/g if $bytes =~ /date/;
        $_->[0] eq 'Set-Cookie' && $_->[1] =~ s/=[A-Za-z0-9+\/]{22}==/=ID/ for @{ $m->headers };
        return $m;
    };
}
my %seen;
sub ask { my ($method, $uri, @fields) = @_; my $body = $method eq 'POST' ? 'posted' : ''; my $name = "$method $uri @fields"; return () if $seen{$name}++; return ($name => masked("$method $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields) . (length $body ? "Content-Length: 6\r\nContent-Type: a/b\r\n" : '') . "\r\n$body")) }
my $date = 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT';
my @args = ('', '?a=a', '?a=1&b=1', '?a=1', '?b=1', '?a=%3Cb%3E%22%26%27', '?a=x%20y/z+w');
my @all = (
    map({ my $p = $_; map { ask(GET => "/$p.html$_") } @args } grep { !/^(deep|long|edge|grow|dates)$/ } sort keys %page),
    ask(GET => '/dates.html'), map({ ask(GET => $_) } qw(/long.html /edge.html /edge.html?a=vvv /grow.html /sub/rel.html /any/b.txt /any/s.css /any/s.xhtml /any/noext /any/wrong.html /two/s.css /two/b.txt /two/wrong.html /xhtml/s.xhtml /xhtml/wrong.html /s.css /s.xhtml /noext
        /modified/wrong.html /notmodified/wrong.html /upmod/headed /silent/wrong.html /silent/codes.html /silent/blocks.html /silent/configs.html /chunk/long.html /chunk/files.html /chunk9/long.html /chunk/b.txt /v0/values.html /v16/values.html /v9/values.html /v9/grow.html /cond/wrong.html /cond/wrong.html?a=1
        /up/headed /up/plain /up/coded /up/part /up/broken /up/moved /up/same /ret/x?y=1 /rw/abc /missing.html /dir/ /cookie/)),
    map({ my $u = $_; (ask(POST => $u), ask(HEAD => $u), ask(GET => $u, $date), ask(GET => $u, 'Range: bytes=0-3'), ask(GET => $u, 'Cookie: a=b; c=d', 'Accept-Encoding: gzip', 'If-None-Match: *')) } qw(/posted.html /posted.html?a=q /kinds.html /headed.html /modified/wrong.html /codes.html /missing.html)),
    ask(GET => '/modified/wrong.html', 'If-Modified-Since: Tue, 14 Nov 2022 22:13:20 GMT'),
);
my ($n, $w) = Weir->compare($conf, \@all, differ => {
    map({ ("GET /configs.html$_ " => 'an empty errmsg is an empty one: nginx ends the connection') } @args),
    map({ ("GET /stubinc.html$_ " => 'a block is done, not shown, also in place of a 204') } @args),
    map({ ("GET /values.html$_ " => 'ssi_value_length is 256, as is said of it') } @args),
}, files => \%files, vars => { BACK => $back->addr }, env => { TZ => 'Asia/Kolkata' }, globals => 'env TZ; ');
$n->expect_log(qr/zero size buf in writer/);
$_->stop for $n, $w;
# As many lines of what is wrong in commands, for each request; weir has words of its own for some, and does all of configs.html.
sub lines { my $s = shift; my %n; for (split /\n/, $s->error_log) { $n{$1}++ if /\[error\].*(?:SSI command|"stub"|"wait"|inclusion|expression).*request: "(\S+ \S+)/ && !/configs|values/ } return join '', map { "$n{$_} $_\n" } sort keys %n }
is(lines($w), lines($n), 'error lines as nginx');
like($w->error_log, qr/after a value an unexpected "d" symbol in "echo" SSI command, parameter "var"/, 'which names the place');
# A 304 too has a stub in its place (nginx shows it twice at times).
$w = Weir->new(conf => $conf, files => { 'html/stub304.html' => '<!--#block name="s" -->STUB<!--#endblock -->[<!--#include virtual="/up/same" stub="s" -->]' }, vars => { BACK => $back->addr })->start;
is($w->get('/stub304.html')->body, '[STUB]', 'instead of a 304');
done_testing;
