# error_page in all its forms and places, recursion, limit_except, satisfy, internal, and what logs then say, beside nginx.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $back = Weir::Backend->new(sub {
    my ($req) = @_;
    my ($what, $status) = $req->uri =~ m{^/(\w*)/?(\d\d\d)?};
    return [200, ['Content-Type' => 'text/plain', 'X-Accel-Redirect' => $req->header('X-To') // '/priv/a.html', 'X-Up' => 'u', 'Set-Cookie' => 'c=1'], 'hidden'] if $what eq 'accel';
    return [401, ['WWW-Authenticate' => 'Basic realm="up"'], 'no'] if ($status // 0) == 401;
    return [$status // 200, ['Content-Type' => 'text/plain', 'X-Up' => 'u', ($status // 0) == 416 ? ('Content-Range' => 'bytes */5') : (), ($status // 0) =~ /^30[12378]/ ? (Location => '/there') : (), ETag => '"e"', 'Last-Modified' => 'Mon, 28 Sep 1970 06:00:00 GMT'], $req->method . ' ' . $req->uri . "\n"];
});
my $conf = <<'EOC';
events { }
http {
    types { text/html html; text/plain txt; }
    log_format l '$request_method|$uri|$request_uri|$status|$args';
    access_log %%TESTDIR%%/l.log l;
    proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_intercept_errors on;
    error_page 402 /http402.html;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        error_page 404 /e404.html;
        error_page 500 501 502 503 =200 /e5.html;
        location / { }
        location /402 { return 402; }
        location /inherit/ { location /inherit/402 { return 402; } location /inherit/own { error_page 410 /e410.html; return 404; } }
        location /r/ { location ~ ^/r/(?<to>\d+)/404$ { error_page 404 /e404.html?of=$to; return 404; } }
        location /s400 { return 400; } location /s401 { return 401; } location /s403 { return 403; } location /s405 { return 405; } location /s408 { return 408; } location /s411 { return 411; } location /s412 { return 412; }
        location /s414 { return 414; } location /s415 { return 415; } location /s416 { return 416; } location /s421 { return 421; } location /s429 { return 429; } location /s494 { return 494; } location /s497 { return 497; }
        location /s500 { return 500; } location /s501 { return 501; } location /s504 { return 504; } location /s505 { return 505; } location /s507 { return 507; } location /s508 { return 508; }
        location /args { error_page 404 /show?code=$status&u=$uri; return 404; }
        location /show { return 200 "show $uri|$args|$request_uri|$request_method|$status\n"; }
        location /toget { error_page 404 /method; return 404; }
        location /tonamed { error_page 404 @named; return 404; }
        location /tonamed200 { error_page 404 =200 @named; return 404; }
        location /tonamedown { error_page 404 = @named; return 404; }
        location @named { return 207 "named $uri|$args|$request_method"; }
        location /toproxied { error_page 404 @proxied; return 404; }
        location /toproxiedown { error_page 404 = @proxied; return 404; }
        location @proxied { proxy_pass http://%%BACK%%; }
        location /method { return 200 "method $request_method"; }
        location /up/ { proxy_pass http://%%BACK%%; error_page 301 302 303 307 308 401 403 404 405 409 410 416 429 500 503 504 =200 /e5.html; }
        location /upown/ { proxy_pass http://%%BACK%%/up/; error_page 301 302 401 404 416 500 504 /e5.html; }
        location /upnamed/ { proxy_pass http://%%BACK%%/up/; error_page 401 404 500 = @named; }
        location /up304/ { proxy_pass http://%%BACK%%/up/; error_page 304 =200 /e5.html; }
        location /accel { proxy_pass http://%%BACK%%; error_page 404 /e410.html; }
        location /priv/ { internal; }
        location /priv404/ { internal; error_page 404 =200 /priv/a.html; }
        location /int/ { internal; error_page 404 =203 /e404.html; }
        location /loop { error_page 404 /loop; return 404; }
        location /rec1 { recursive_error_pages on; error_page 404 /rec2; return 404; }
        location /rec2 { recursive_error_pages on; error_page 404 =410 /rec3; return 404; }
        location /rec3 { recursive_error_pages on; error_page 404 410 /e404.html; return 404; }
        location /recloop { recursive_error_pages on; error_page 404 /recloop; return 404; }
        location /recnot { error_page 404 /rec2; return 404; }
        location /out301 { error_page 404 =301 http://x.test/?u=$uri; return 404; }
        location /out307 { error_page 404 =307 http://x.test/a?b; return 404; }
        location /out200 { error_page 404 =200 http://x.test/; return 404; }
        location /out { error_page 404 https://x.test$request_uri; return 404; }
        location /outscheme { error_page 404 $scheme://x.test/; return 404; }
        location /dead { proxy_pass http://127.0.0.1:%%PORT_9%%; }
        location /deadown { proxy_pass http://127.0.0.1:%%PORT_9%%; error_page 502 =503 /missing.html; }
        location /if { if ($arg_a) { error_page 404 =206 /show?if; } return 404; }
        location /ifdir { error_page 404 /show; if ($arg_a) { return 404; } return 403; }
        location /text { error_page 403 /show; return 403 "text"; }
        location /hdr { add_header X-A a always; add_header X-B b; error_page 404 /hdrto; return 404; }
        location /hdrto { add_header X-C c always; add_header X-D d; return 200 x; }
        location /type { default_type application/json; error_page 404 /typeto; return 404; }
        location /typeto { default_type text/css; return 200 x; }
        location /denied { deny all; error_page 403 =200 /e410.html; location /denied/in { error_page 403 /denied/page; } }
        location /except { limit_except GET PUT { deny all; } error_page 403 /show; return 200 "except $request_method"; }
        location /exceptf { limit_except POST { allow 127.0.0.1; deny all; } }
        location /exceptb { limit_except GET { auth_basic x; auth_basic_user_file %%TESTDIR%%/users; } alias %%TESTDIR%%/html/; }
        location /satany { satisfy any; allow 10.0.0.0/8; deny all; auth_basic "r"; auth_basic_user_file %%TESTDIR%%/users; alias %%TESTDIR%%/html/a.html; }
        location /satall { satisfy all; allow 127.0.0.1; deny all; auth_basic "r"; auth_basic_user_file %%TESTDIR%%/users; alias %%TESTDIR%%/html/a.html; error_page 401 /show?who=$remote_user; }
        location /cond { error_page 412 /show; alias %%TESTDIR%%/html/; }
        location /range { error_page 416 =206 /show; alias %%TESTDIR%%/html/; }
        location /dir403 { error_page 403 = @named; alias %%TESTDIR%%/html/sub; }
        location /ssi/ { ssi on; alias %%TESTDIR%%/html/; }
        location /add/ { add_after_body /nothing; alias %%TESTDIR%%/html/; }
        location /444 { error_page 404 /r444; return 404; }
        location /r444 { return 444; }
        location /rw { error_page 404 /rwto/x; return 404; }
        location /rwto { rewrite ^ /show?rw last; }
        location /try { error_page 404 =200 /show?try; try_files /none =404; }
        location /trynamed { try_files /none @fall; }
        location @fall { error_page 404 @named; return 404; }
        location /slash { error_page 404 e404.html; return 404; }
        location /empty { return 404; }
    }
}
EOC
my %files = ('html/a.html' => "a\n", 'html/e404.html' => "<p>page 404\n", 'html/e5.html' => "<p>page 5xx\n", 'html/e410.html' => "<p>410\n", 'html/http402.html' => "<p>pay\n", 'html/priv/a.html' => "<p>private\n", 'html/sub/x' => 'x', 'html/priv404/x' => 'x',
    'html/inc.html' => '[<!--#include virtual="/none" -->|<!--#include virtual="/402" -->|<!--#include virtual="/s500" -->|<!--#include virtual="/tonamed" -->|<!--#include virtual="/priv/a.html" -->]', users => "u:{PLAIN}p\n");
sub ask {
    my ($method, $uri, @fields) = @_;
    my $body = $method =~ /POST|PUT/ ? 'hello' : '';
    my $bytes = "$method $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields) . (length $body ? "Content-Length: 5\r\n" : '') . "\r\n$body";
    return ("$method $uri @fields" => sub {
        my $m = shift->raw($bytes) or return undef;
        # A page made here is as long as the server's name, which HEAD does not show.
        @{ $m->{headers} } = grep { lc $_->[0] ne 'content-length' } @{ $m->{headers} } if $method eq 'HEAD';
        return $m;
    });
}
my @uris = (qw(/none /402 /inherit/402 /inherit/own /args?a=b /toget /tonamed?x=y /tonamed200 /tonamedown /toproxied?q /toproxiedown?q /accel /priv/a.html /priv404/y /int/x /loop /rec1 /rec2 /recloop /recnot
    /out301?z=1 /out307 /out200 /out?a=b /outscheme /dead /deadown /if /if?a=1 /ifdir /ifdir?a=1 /text /hdr /type /denied/x /denied/in/x /except /exceptf /exceptb/a.html /satany /satall /dir403/ /ssi/inc.html /add/a.html /444 /rw /try /trynamed /slash /empty /r/404 /r/17/404),
    map({ "/s$_" } qw(400 401 403 405 408 411 412 414 415 416 421 429 494 497 500 501 504 505 507 508)), map({ my $u = $_; map { "/$u/$_" } 200, 301, 302, 303, 304, 307, 308, 401, 403, 404, 405, 409, 410, 416, 429, 500, 503, 504 } qw(up upown upnamed up304)));
my @all = (map({ my $u = $_; map { ask($_, $u) } qw(GET HEAD POST) } @uris),
    ask(GET => '/satany', 'Authorization: Basic dTpw'), ask(GET => '/satall', 'Authorization: Basic dTpw'), ask(GET => '/satall', 'Authorization: Basic dTpx'), map({ ask($_, '/except') } qw(PUT DELETE OPTIONS HEAD)), ask(PUT => '/exceptb/a.html', 'Authorization: Basic dTpw'),
    ask(GET => '/cond/a.html', 'If-Match: "x"'), ask(GET => '/range/a.html', 'Range: bytes=100-'), ask(GET => '/accel', 'X-To: /none'), ask(GET => '/accel', 'X-To: @named'), ask(GET => '/accel', 'X-To: /show?x=1'), ask(GET => '/accel', 'X-To: /priv404/zz'), ask(GET => '/accel', 'X-To: http://x'), ask(POST => '/accel', 'X-To: /show'), ask(GET => '/accel', 'X-To: /up/404'), ask(GET => '/accel', 'X-To: /a%2ehtml'), ask(GET => '/accel', 'X-To: ../a.html'),
    ask(GET => '/none', 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'), ask(GET => '/none', 'Range: bytes=0-2'), ask(GET => '/dead', 'Range: bytes=0-2'), ask(GET => '/dead', 'If-None-Match: *'));
my ($n, $w) = Weir->compare($conf, \@all, differ => { 'GET /accel X-To: http://x' => 'that is no place here: 404, by the error_page of where it was said' }, files => \%files, vars => { BACK => $back->addr });
$_->stop for $n, $w;
# nginx logs a request that /r444 ends without an answer as the 404 that led there.
my @l = map { my @a = sort grep { !m{/accel.404|/r444} } split /\n/, $_->access_log('l.log'); \@a } $n, $w;
is(scalar @{ $l[1] }, scalar @{ $l[0] }, 'as many lines as nginx');
my $bad = 0;
for (0 .. $#{ $l[0] }) { is($l[1][$_], $l[0][$_], "log: line $_") if ($l[1][$_] // '') ne $l[0][$_] && $bad++ < 5 }
is($bad, 0, 'log: as nginx');
done_testing;
