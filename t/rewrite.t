#!/usr/bin/perl
# The rewrite module, compared with nginx.
use lib 't/lib';
use Weir;

sub get { map { my ($uri, @headers) = ref $_ ? @$_ : $_; ("GET $uri @headers" => "GET $uri HTTP/1.1\r\nHost: site.test\r\n" . join('', map { "$_\r\n" } @headers) . "Connection: close\r\n\r\n") } @_ }

Weir->compare(<<'EOC', [ get(
events { }
http {
    default_type text/plain;
    types { text/html html; application/json json; }
    root %%TESTDIR%%/html;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name first.test;
        location = /200 { return 200; }
        location = /200t { return 200 "text of $uri"; }
        location = /a.html { return 200 "<p>$request_uri"; }
        location = /a.json { return 201 "{}"; }
        location = /204 { return 204; }
        location = /204t { return 204 text; }
        location = /206 { return 206 text; }
        location = /304 { return 304 text; }
        location = /301 { return 301; }
        location = /301u { return 301 /new; }
        location = /301v { return 301 "new place"; }
        location = /302 { return 302 http://other.test$request_uri; }
        location = /303 { return 303 $scheme://$host/x?$args; }
        location = /307 { return 307 /x%20y; }
        location = /308 { return 308 //x/; }
        location = /url { return http://other.test$uri; }
        location = /urls { return https://other.test/; }
        location = /scheme { return $scheme://$server_name/; }
        location = /400 { return 400; }
        location = /401 { return 401; }
        location = /403 { return 403; }
        location = /404 { return 404; }
        location = /404t { return 404 "none: $uri"; }
        location = /405 { return 405; }
        location = /410 { return 410; }
        location = /413 { return 413; }
        location = /418 { return 418; }
        location = /429 { return 429; }
        location = /444 { return 444; }
        location = /451 { return 451; }
        location = /500 { return 500; }
        location = /502 { return 502; }
        location = /503t { return 503 busy; }
        location = /599 { return 599; }
        location = /999 { return 999; }
        location = /dynamic { return 200 $arg_a; }
        location = /long { return 200 "$request_uri$request_uri$request_uri"; }
        location = /page { error_page 404 /page404; return 404; }
        location = /page404 { return 200 "page of $uri"; }
        location = /pagetext { error_page 404 /page404; return 404 own; }
        location = /named { error_page 403 = @named; return 403; }
        location @named { return 200 "named $uri"; }
        location / { return 200 "rest"; }
    }
}
EOC
    qw(/200 /200t /a.html /a.json /204 /204t /206 /304 /301 /301u /301v /302 /302?a=b /303?a=b /307 /308 /url /urls /scheme /400 /401 /403 /404 /404t /405 /410
       /413 /418 /429 /444 /451 /500 /502 /503t /599 /999 /dynamic?a=xyz /dynamic /long?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa /page /page404 /pagetext /named /other)),
    'HEAD' => "HEAD /200t HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    'POST' => "POST /200t HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
    'HTTP/1.0' => "GET /200t HTTP/1.0\r\n\r\n",
    'HTTP/1.0 redirect' => "GET /301u HTTP/1.0\r\n\r\n",
]);

Weir->compare(<<'EOC', [ get(
events { }
http {
    root %%TESTDIR%%/html;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        rewrite ^/server/(.*)$ /s/$1;
        rewrite ^/sbreak/(.*)$ /s/$1 break;
        rewrite ^/slast/(.*)$ /s/$1 last;
        rewrite ^/sredirect/(.*)$ /s/$1 redirect;
        rewrite ^/spermanent/(.*)$ /s/$1?x=y permanent;
        rewrite ^/s/two/(.*)$ /s/second/$1;
        location /s/ { return 200 "s $uri $args|$request_uri"; }
        location /plain { rewrite ^/plain/(.*)$ /target/$1; }
        location /noargs { rewrite ^/noargs/(.*)$ /target/$1?; }
        location /newargs { rewrite ^/newargs/(.*)$ /target/?q=$1; }
        location /newargsonly { rewrite ^/newargsonly/(.*)$ /target/?q=$1?; }
        location /last { rewrite ^/last/(.*)$ /target/$1 last; return 200 notreached; }
        location /brk { rewrite ^/brk/(.*)$ /target/$1 break; return 200 "notreached"; }
        location /redirect { rewrite ^/redirect/(.*)$ /target/$1 redirect; }
        location /redirectq { rewrite ^/redirectq/(.*)$ /target/?a=$1 redirect; }
        location /redirectn { rewrite ^/redirectn/(.*)$ /target/?a=$1? redirect; }
        location /permanent { rewrite ^/permanent/(.*)$ /target/$1? permanent; }
        location /absolute { rewrite ^/absolute/(.*)$ http://other.test/$1; }
        location /absq { rewrite ^/absq/(.*)$ https://other.test/?$1? permanent; }
        location /schm { rewrite ^ $scheme://$host/$args?; }
        location /cycle { rewrite ^/cycle(.*)$ /cycle$1/x last; }
        location /two { rewrite ^/two/([^/]+)/(.*)$ /three/$2/$1; rewrite ^/three/([^/]*)/(.*)$ /target/$1-$2; }
        location /nomatch { rewrite ^/other/(.*)$ /target/$1; return 200 "no match: $uri [$1]"; }
        location /named { rewrite ^/named/(?<one>[^/]*)/(?<two>.*)$ /target/$two/$one; }
        location /cap { rewrite ^/cap/(.)(.)?(.)? /target/$3-$2-$1-$4; }
        location /case { rewrite (?i)/CASE/x /target/case; }
        location /dots { rewrite ^/dots /target/../up; }
        location /pct { rewrite ^/pct/(.*)$ /target/%20$1; }
        location /setq { rewrite ^/setq/(.*)$ /x/$1?y=$1; set $v $1; return 200 "$uri|$args|$v|$1"; }
        location /esc { if ($uri ~ ^/esc/(.*)$) { set $v $1; } return 200 "$v|$1|$uri"; }
        location /x.html { rewrite ^ /y.txt break; }
        location /internal { internal; return 200 "internal $uri"; }
        location /toint { rewrite ^ /internal last; }
        location /target { return 200 "target $uri|$args|$is_args|$request_uri|$document_uri"; }
        location / { return 200 "rest $uri"; }
    }
}
EOC
    qw(/server/a /server/a?b=c /sbreak/a /slast/a /sredirect/a?b /spermanent/a?b=c /server/two/z /plain/a /plain/a?b=c /noargs/a?b=c /newargs/a?b=c /newargs/a
       /newargsonly/a?b=c /last/a?b /brk/a /redirect/a /redirect/a?b=c /redirectq/a?b=c /redirectn/a?b=c /permanent/a?b /absolute/a?b /absq/a?b=c /schm?b /cycle /two/a/b
       /nomatch/x /named/a/b /cap/a /cap/ab /cap/abc /case/x /CASE/x /dots /pct/a /setq/a%20b /setq/a+b /setq/ab /esc/a%20b /esc/a+b%3f /esc/ab /x.html /internal /toint),
    map { ("/plain/$_", "/newargs/$_", "/redirect/$_", "/redirectq/$_?q=$_", "/absolute/$_", "/named/$_/$_") } ('a%20b', 'a%25b', 'a%3fb', 'a+b', 'a%2Bb', 'a%26b', '%C3%A4', 'a%0d%0ab', '%7euser', 'a"b', '%e2%82%ac?x=%e2'))
], files => { 'html/y.txt' => "y\n", 'html/target/x' => "x\n" });

my @conditions = (
    [ '$arg_a', 'truth' ], [ '$arg_a = b', 'equal' ], [ '$arg_a != b', 'unequal' ], [ '$arg_a ~ ^b', 'match' ], [ '$arg_a ~* ^b', 'match any case' ],
    [ '$arg_a !~ ^b', 'no match' ], [ '$arg_a !~* ^b', 'no match any case' ], [ '-f $document_root/$arg_a', 'file' ], [ '!-f $document_root/$arg_a', 'no file' ],
    [ '-d $document_root/$arg_a', 'folder' ], [ '!-d $document_root/$arg_a', 'no folder' ], [ '-e $document_root/$arg_a', 'exists' ], [ '!-e $document_root/$arg_a', 'not there' ],
    [ '-x $document_root/$arg_a', 'executable' ], [ '!-x $document_root/$arg_a', 'not executable' ], [ '$arg_a = ""', 'empty' ], [ '$request_method = POST', 'method' ], [ '$arg_a = $arg_b', 'variables' ],
);
my $n = 0;
Weir->compare("events { }\nhttp { root %%TESTDIR%%/html; server { listen 127.0.0.1:%%PORT_0%%;\n"
    . join('', map { $n++; "location = /c$n { if ($_->[0]) { return 200 yes; } return 200 no; }\n" } @conditions) . "} }\n",
    [ get(map { my $c = $_; map { "/c$c?$_" } 'a=b', 'a=B', 'a=0', 'a=00', 'a', 'a=', 'a=file', 'a=folder', 'b=x&a=x', '' } 1 .. @conditions) ],
    files => { 'html/file' => 'x', 'html/folder/x' => 'x', 'html/x' => 'x' });

Weir->compare(<<'EOC', [ get(
events { }
http {
    root %%TESTDIR%%/html;
    default_type text/plain;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        set $top server;
        if ($arg_s) { set $top if-$arg_s; }
        if ($arg_stop) { return 403; }
        if ($http_x_go ~ ^(.*)$) { rewrite ^ /went/$1 last; }
        location /set { set $a 1; set $b $a-$a; set $a 2; return 200 "$a $b $top ${a}x"; }
        location /args { set $args "new=1"; return 200 "$args $arg_new $query_string $is_args $request_uri"; }
        location /seq { set $q ""; if ($arg_a) { set $q A; } if ($arg_b) { set $q "${q}B"; } if ($q = AB) { return 200 both; } return 200 "one:$q"; }
        location /loc { root %%TESTDIR%%/one; if ($arg_a) { root %%TESTDIR%%/two; } if ($arg_b) { root %%TESTDIR%%/three; } }
        location /rw { if ($arg_a) { rewrite ^ /set? last; } return 200 "stayed $uri"; }
        location /brk { set $z 1; if ($arg_a) { set $z 2; break; set $z 3; } set $z "${z}4"; return 200 "$z"; }
        location /brk2 { if ($arg_a) { rewrite ^/brk2 /loc/file break; } return 200 no; }
        location /capt { if ($uri ~ ^/capt/(.)(?<second>.)) { set $first $1; } return 200 "$first $second $1"; }
        location /nested { location /nested/in { set $n in; return 200 "$n $top"; } set $n out; return 200 "$n $top"; }
        location /uninit { return 200 "[$never]"; set $never x; }
        location /went { return 200 "went $uri"; }
        location /prefix { set $arg_made yes; set $http_made also; return 200 "$arg_made $http_made"; }
        location /host { set $x $host:$server_port; return 200 $x; }
        location / { return 200 "rest $top"; }
    }
}
EOC
    qw(/set /set?s=1 /set?stop=1 /args?old=1 /args /seq /seq?a=1 /seq?a=1&b=1 /seq?b=1 /loc/file /loc/file?a=1 /loc/file?b=1 /loc/file?a=1&b=1 /rw /rw?a=1 /brk /brk?a=1 /brk2 /brk2?a=1 /capt/xy /capt/x
       /nested /nested/in /nested/other /uninit /prefix /prefix?made=no /host /other?s=x), [ '/x', 'X-Go: there' ], [ '/x', 'X-Go: a b' ]) ],
    files => { 'html/loc/file' => "file\n", map { ("$_/loc/file" => "$_\n") } qw(one two three) });

# What is refused, and in which words.
for ([ 'return foo;', 'invalid return code "foo"' ], [ 'return 1000;', 'invalid return code "1000"' ], [ 'return 200 a b;', 'invalid number of arguments in "return" directive' ],
     [ 'rewrite ^ "";', 'empty replacement' ], [ 'rewrite ^ /x foo;', 'invalid parameter "foo"' ], [ 'rewrite ( /x;', 'missing closing parenthesis in "("' ],
     [ 'set x 1;', 'invalid variable name "x"' ], [ 'set $ 1;', 'invalid variable name "$"' ], [ 'set $host 1;', 'the duplicate "host" variable' ],
     [ 'set $x $y;', 'unknown "y" variable' ], [ 'if $x { }', 'invalid condition "$x"' ], [ 'if ($host) { if ($uri) { } }', '"if" directive is not allowed here' ],
     [ 'if ($host == x) { }', 'unexpected "==" in condition' ], [ 'location / { if ($host) { listen 127.0.0.1:1; } }', 'not allowed here' ]) {
    my ($conf, $why) = @$_;
    for my $binary (undef, $Weir::nginx) {
        my $w = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%%; $conf } }\n", $binary ? (binary => $binary) : ());
        my ($code, $out) = $w->t_binary('-t');
        isnt($code, 0, $w->name . " refuses $conf");
        ok(index($out, $why) >= 0, $w->name . " says why: $why") or diag($out);
        $w->expect_log(qr/\Q$why\E/, 'refused on purpose');
    }
}

my $w = Weir->new(log_level => 'notice', conf => <<'EOC')->start;
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        rewrite_log on;
        rewrite ^/old/(.*)$ /new/$1?a=$1;
        location / { return 200 "[$never]"; }
        location /q { uninitialized_variable_warn off; return 200 "[$never]"; set $never 1; }
        location ~ ^/slowest/(a+)+$ { return 200 matched; }
        location /slow { rewrite ^/slow/(a+)+$ /x; return 200 passed; }
    }
}
EOC
is($w->get('/old/x')->body, '[]', 'a variable without a value is empty');
$w->wait_error(qr{"\^/old/\(\.\*\)\$" matches "/old/x"});
$w->wait_error(qr{rewritten data: "/new/x", args: "a=x"});
$w->wait_error(qr{using uninitialized "never" variable});
my $before = () = $w->error_log =~ /uninitialized/g;
$w->get('/q');
is(scalar(() = $w->error_log =~ /uninitialized/g), $before, 'no warning where it is off');
is($w->get('/slow/' . 'a' x 200 . '!')->status, 500, 'a regex that takes too long: no answer rather than the wrong one');
is($w->get('/slowest/' . 'a' x 200 . '!')->status, 500, 'nor the wrong location');
$w->wait_error(qr/pcre2_match\(\) failed: match limit exceeded/);
done_testing;
