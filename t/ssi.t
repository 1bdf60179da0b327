# ssi: every command, in files and proxied bodies, in all the ways they may be wrong; nested, with other filters.
use lib 't/lib';
use Weir;

my $back = Weir::Backend->new(sub {
    my ($req) = @_;
    my ($what) = $req->uri =~ m{^/up/(\w*)};
    return [404, ['Content-Type' => 'text/html'], "up 404\n"] if $what eq 'none';
    return [200, ['Content-Type' => 'text/html'], ''] if $what eq 'empty';
    return [200, ['Content-Type' => 'text/html'], 'B' x 300000] if $what eq 'big';
    return [200, ['Content-Type' => 'text/html', 'X-Up' => 'val'], "<p><!--#include virtual=\"/up/inner\" --></p><!--#echo var=\"uri\" -->\n"] if $what eq 'page';
    if ($what eq 'pieces') {
        my $page = 'a<!--#set var="x" value="y" -->b<!--# echo var="x" --><!-- c --><<!--#echo var="x" -->d<!-';
        return "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n" . join('', map { "1\r\n$_\r\n" } split //, $page) . "0\r\n\r\n";
    }
    return [200, ['Content-Type' => 'text/html'], "[$what " . ($req->uri =~ /\?(.*)/ ? $1 : '') . ' ' . $req->method . ' ' . length($req->body // '') . ']'];
});
my $conf = <<'EOC';
events { }
http {
    types { text/html html; text/plain txt; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        ssi on;
        location / { }
        location /off/ { ssi off; alias %%TESTDIR%%/html/; }
        location /silent/ { ssi_silent_errors on; alias %%TESTDIR%%/html/; }
        location /short/ { ssi_value_length 8; alias %%TESTDIR%%/html/; }
        location /types/ { ssi_types text/plain; alias %%TESTDIR%%/html/; }
        location /modified/ { ssi_last_modified on; alias %%TESTDIR%%/html/; }
        location /up/ { proxy_pass http://%%BACKEND%%; }
        location /small/ { subrequest_output_buffer_size 16; proxy_pass http://%%BACKEND%%/up/; }
        location /priv/ { internal; alias %%TESTDIR%%/html/; }
        location = /r301 { return 301 /x; }
        location = /args { default_type text/html; return 200 "args=$args uri=$uri request_uri=$request_uri method=$request_method"; }
        location = /setter { set $shared fromsub; return 200 ""; }
        location = /uses { set $shared frommain; default_type text/html; return 200 '<!--#include virtual="/setter" wait="yes" --><!--#echo var="shared" -->'; }
        location = /nothtml { default_type text/plain; return 200 '<!--#echo var="uri" -->'; }
        location = /dead { proxy_pass http://127.0.0.1:%%PORT_9%%; }
        location = /errored { error_page 404 /b.txt; root %%TESTDIR%%/none; }
        location /sub/ { sub_filter one ONE; sub_filter_once off; alias %%TESTDIR%%/html/; }
        location /gz/ { gzip on; gzip_min_length 0; alias %%TESTDIR%%/html/; }
        location /cs/ { charset utf-8; alias %%TESTDIR%%/html/; }
        location /if/ { if ($arg_ssi = no) { ssi off; } rewrite ^/if(.*)$ $1 break; }
        location /add/ { add_before_body /echo.html; add_after_body /b.txt; alias %%TESTDIR%%/html/; }
        location /rate/ { limit_rate 10m; alias %%TESTDIR%%/html/; }
    }
}
EOC
my %page = (
    echo => 'uri=<!--#echo var="uri" --> doc=<!--#echo var="DOCUMENT_URI"--> none=<!--#echo var="nothing" --> default=<!--#echo var="nothing" default="dflt" --> empty=<!--#echo var="nothing" default="" -->.',
    encodings => join('|', map { qq(<!--#echo var="arg_x" encoding="$_" -->) } qw(none url entity wrong)) . '|<!--#echo var="arg_x" -->',
    entity => '<!--#set var="v" value="<a href=\'x\'>\\"&amp;\\"</a>" --><!--#echo var="v" -->|<!--#echo var="v" encoding="none" -->|<!--#echo var="v" encoding="url" -->',
    include => '<<!--#include virtual="/b.txt" -->|<!--#include file="b.txt" -->|<!--# include virtual="b.txt" -->|<!--#include virtual="/args?a=b&c=d" -->>',
    missing => 'a<!--#include virtual="/nothing" -->b',
    redirect => 'a<!--#include virtual="/r301" -->b',
    private => '<!--#include virtual="/priv/b.txt" -->',
    nested => '1<!--#include virtual="/nested2.html" -->2',
    nested2 => '(<!--#include virtual="/nested3.html" -->)<!--#include virtual="/b.txt" -->',
    nested3 => '{<!--#include virtual="/up/deep" --><!--#echo var="uri" -->}',
    parallel => join('', map { "$_=<!--#include virtual=\"/up/p$_?n=$_\" -->;" } 1 .. 20),
    mixed => '<!--#include virtual="/up/a" -->x<!--#include virtual="/b.txt" -->y<!--#include virtual="/up/big" -->z<!--#include virtual="/big.txt" -->',
    wait => '<!--#include virtual="/up/w" wait="yes" -->|<!--#include virtual="/b.txt" wait="no" -->|<!--#include virtual="/b.txt" wait="perhaps" -->|<!--#include file="b.txt" wait="yes" -->',
    setvar => '<!--#include virtual="/up/s" set="one" --><!--#include virtual="/b.txt" set="two" --><!--#include virtual="/nothing" set="three" -->[<!--#echo var="one" -->][<!--#echo var="two" -->][<!--#echo var="three" -->]',
    sethuge => '<!--#include virtual="/small/much" set="one" -->[<!--#echo var="one" -->]',
    setbig => 'x<!--#include virtual="/up/big" set="one" -->[<!--#echo var="one" -->]',
    setinner => '<!--#include virtual="/nested3.html" set="one" -->[<!--#echo var="one" -->]',
    stub => '<!--#block name="st" -->instead <!--#echo var="uri" --><!--#endblock --><!--#include virtual="/up/empty" stub="st" -->|<!--#include virtual="/nothing" stub="st" -->|<!--#include virtual="/b.txt" stub="st" -->|<!--#include virtual="/up/none" stub="st" -->|<!--#include virtual="/empty.html" stub="st" -->|<!--#include virtual="/errored" stub="st" -->|<!--#include virtual="/dead" stub="st" -->',
    stubtwice => '<!--#block name="a" -->A<!--#endblock --><!--#block name="b" -->B<!--#endblock --><!--#include virtual="/nothing" stub="b" --><!--#include virtual="/nothing" stub="a" --><!--#include virtual="/nothing" stub="b" -->',
    stubnone => '<!--#include virtual="/nothing" stub="zz" -->|<!--#block name="q" -->Q<!--#endblock --><!--#include virtual="/nothing" stub="zz" -->',
    both => '<!--#include virtual="/b.txt" file="b.txt" -->|<!--#include -->|<!--#include virtual="/b.txt" set="a" stub="b" -->',
    unsafe => join('|', map { qq(<!--#include virtual="$_" -->) } '/../b.txt', '/x/../b.txt', '/%2e%2e/b.txt', '?x', '', '/b%2etxt', '/b.txt%3fx=y', '/args%3Fq', '/args?a%20b', '/x/..', '..', '../b.txt', '/b%252etxt', '/b%25252etxt', '/%00', '/b.txt%', '//b.txt', '/./b.txt'),
    vars => '<!--#set var="p" value="b.txt" --><!--#include virtual="/$p" -->|<!--#include virtual="/${p}" -->|<!--#include virtual="${p" -->|<!--#include virtual="/$" -->|<!--#include virtual="/$nothing$p" -->|<!--#include file="$p" -->',
    set => '<!--#set var="a" value="one" --><!--#set var="b" value="$a two ${a}x" --><!--#set var="a" value="\\$a \\\\ \\x \\"q\\"" -->[<!--#echo var="a" encoding="none" -->][<!--#echo var="b" -->][<!--#echo var="A" -->]<!--#set var="a" -->',
    if1 => join('|', map { qq(<!--#if expr="$_" -->yes<!--#else -->no<!--#endif -->) } '$arg_x', '$nothing', '$arg_x = one', '$arg_x=one', '$arg_x != one', '$arg_x = two', '$arg_x != two', 'text', '', '$arg_x = /^o(n)e$/', '$arg_x != /^o/', '$arg_x = /zz/', '$arg_x = \\/x', '$arg_x = "one"', 'ABC = abc', '$arg_x = /(/', '$arg_x ! one', '$arg_x = /open', '$arg_x one', '!x', '$arg_x == one', '$arg_y = ', 'a b'),
    if2 => '<!--#if expr="$arg_x = 1" -->one<!--#elif expr="$arg_x = 2" -->two<!--#elif expr="$arg_x = 3" -->three<!--#else -->other<!--#endif -->',
    if3 => '<!--#if expr="$arg_x" -->A<!--#if expr="a" -->B<!--#endif -->C<!--#endif -->D<!--#else -->E<!--#endif -->F<!--#elif expr="x" -->G',
    if4 => '<!--#if expr="$nothing" -->A<!--#include virtual="/b.txt" --><!--#set var="z" value="1" --><!--#wrong --><!--#else -->B<!--#include virtual="/b.txt" --><!--#else -->C<!--#endif -->[<!--#echo var="z" -->]',
    captures => '<!--#if expr="$arg_x = /(.)(.*)/" -->0=<!--#echo var="0" --> 1=<!--#echo var="1" --> 2=<!--#echo var="2" --> 3=<!--#echo var="3" --><!--#endif --><!--#if expr="$arg_x = /(?<first>.)/" --> named=<!--#echo var="first" --><!--#endif -->',
    config => '<!--#config errmsg="oops" --><!--#wrong --><!--#config timefmt="%Y" --><!--#echo var="date_gmt" --><!--#config timefmt="100%%" -->[<!--#echo var="date_local" -->]<!--#config timefmt="" -->',
    block => 'a<!--#block name="x" -->b<!--#echo var="uri" --><!--#include virtual="/b.txt" --><!--#endblock -->c',
    bad => join('|', '<!--#-->', '<!--# -->', '<!--#echo-->', '<!--#echo var-->', '<!--#echo var=-->', '<!--#echo var="uri-->', '" -->', '<!--#echo var=uri -->', '<!--#echo var="uri"x -->', '<!--#echo var "uri" -->', '<!--#echo var = "uri" -->',
        "<!--#echo var='uri' -->", '<!--#echo var="uri" - -->', '<!--#echo var="uri" ->', '-->', '<!--#echo nonsense="x" -->', '<!--#echo var="uri" var="uri" -->', '<!--#echo default="x" -->', '<!--#ECHO var="uri" -->', '<!--#echo VAR="uri" -->',
        '<!--#' . 'e' x 40 . ' -->', '<!--#echo ' . 'v' x 40 . '="x" -->', '<!--#echo var="' . 'v' x 300 . '" -->', '<!--#echo' . ' var="uri"' x 20 . ' -->', '<!--#echo var="uri"--><!--#echo var="uri" --!>x-->', "<!--#echo\r\n\tvar=\"uri\"\n-->", '<!---#echo var="uri" -->', '<! --#echo -->', '<!-<!--#echo var="uri" -->'),
    tail1 => 'x<', tail2 => 'x<!--', tail3 => 'x<!--#ec', tail4 => 'x<!--#echo var="uri" --', tail5 => '<!-', tail6 => 'x<!--#echo var="',
    regex => join('|', map { qq(<!--#if expr="\$arg_x = $_" -->yes<!--#else -->no<!--#endif -->) } '/^one\$/', '/^one\\$/', '/\\w+/', '/^$arg_x/', '/^${arg_x}\$/', '/o.e/', '/\//', '//', '/', '/ONE/', '/(?i)ONE/'),
    self => 'x<!--#include virtual="/self.html" -->y',
    many => join('', map { "<!--#echo var=\"arg_x\" -->,<!--#if expr=\"a\" -->$_<!--#endif -->\n" } 1 .. 3000),
    words => 'one <!--#include virtual="/b.txt" --> one',
    uses2 => '<!--#include virtual="/up/page" --><!--#include virtual="/uses" --><!--#include virtual="/nothtml" --><!--#include virtual="/off/echo.html" -->',
    esc => '<!--#set var="a" value="x\\" -->y" --><!--#echo var="a" -->|<!--#set var="b" value=\'it"s\' --><!--#echo var="b" encoding="none" -->',
);
my %files = map { ("html/$_.html" => $page{$_}) } keys %page;
$files{'html/b.txt'} = "b one\n";
$files{'html/a.txt'} = 'text <!--#echo var="uri" -->';
$files{'html/empty.html'} = '';
$files{'html/plain.html'} = "no commands\n";
$files{'html/big.txt'} = join '', map { chr(97 + $_ % 26) x 9 . "\n" } 1 .. 30000;
sub get { my ($uri, @fields) = @_; return "GET $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n" }
sub ask { my ($what, @rest) = @_; return ("$what @rest" => get($what, @rest)) }

Weir->compare($conf, [
    map({ ask($_) } map({ /^(uses2|tail\d)$/ ? () : "/$_.html" } sort keys %page), map({ "/tail$_.html" } 1 .. 6),
        qw(/echo.html?x /regex.html?x=one /if1.html?x=one /if2.html?x=1 /if2.html?x=2 /if2.html?x=3 /if3.html?x=1 /captures.html?x=hello /encodings.html?x=<a%20b>&quot; /encodings.html?x=a/b?c%22<>&
        /many.html?x=v /off/echo.html /silent/bad.html /short/bad.html /short/echo.html /types/a.txt /a.txt /modified/echo.html /plain.html /empty.html /none.html /uses /uses2.html
        /up/page /up/pieces /up/empty /up/none /sub/words.html /cs/words.html /if/echo.html /if/echo.html?ssi=no /add/echo.html /rate/include.html)),
    ask('/modified/echo.html', 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'),
    ask('/echo.html', 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'),
    ask('/include.html', 'Range: bytes=0-3'),
    'HTTP/1.0' => "GET /include.html HTTP/1.0\r\n\r\n",
    HEAD => "HEAD /include.html HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    'POST proxied' => "POST /up/page HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    gzip => sub { my $m = shift->raw(get('/gz/mixed.html', 'Accept-Encoding: gzip')); require Compress::Zlib; $m->{body} = Compress::Zlib::memGunzip($m->body) // 'not gzip'; $m },
    'two on a connection' => sub { my $c = shift->connect; my $m; $c->send("GET $_ HTTP/1.1\r\nHost: h\r\n\r\n"), $m = $c->response for '/nested.html', '/parallel.html'; $m },
], differ => {
    '/setbig.html ' => 'what stands before it was sent already',
    '/setinner.html ' => 'the directive fails, not the connection',
    '/up/pieces ' => 'nginx loses a "<" before a command when the body comes in pieces',
}, files => \%files, vars => { BACKEND => $back->addr });
done_testing;
