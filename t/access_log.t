#!/usr/bin/perl
# Access logs: lines compared with nginx's; buffers, gzip, conditions, paths with variables, syslog, reopening.
use lib 't/lib';
use Weir;
use IO::Socket::INET;
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);

my $port = 'listen 127.0.0.1:%%PORT_0%%';

sub lines { my $file = shift; open my $in, '<:raw', $file or return; return map { chomp; $_ } <$in> }
sub request { my ($line, @headers) = @_; return "$line\r\n" . join('', map { "$_\r\n" } @headers) . "\r\n" }

# ---- the same lines as nginx

my $conf = <<"EOC";
events { }
http {
    root %%TESTDIR%%/html;
    log_format plain '\$remote_addr|\$remote_user|\$request|\$status|\$body_bytes_sent|\$http_referer|\$http_user_agent|\${uri}x|\$http_none|\$arg_a|\$args|\$pipe|'
                     '\$sent_http_content_type|\$sent_http_content_length|\$sent_http_location|\$sent_http_connection|\$request_completion|\$bytes_sent|\$request_length';
    log_format json escape=json '{"ua":"\$http_user_agent","none":"\$http_none","arg":"\$arg_a","request":"\$request"}';
    log_format none escape=none '\$http_user_agent|\$http_none|\$request';
    log_format dflt escape=default '\$http_user_agent|\$http_none|\$arg_a';
    log_format empty '';
    map \$arg_log \$wanted { default 1; 0 0; '' ''; yes 1; }
    access_log %%TESTDIR%%/plain plain;
    access_log %%TESTDIR%%/json json;
    access_log %%TESTDIR%%/none none;
    access_log %%TESTDIR%%/dflt dflt;
    server {
        $port;
        location / { return 200 "text of some length"; }
        location /moved { return 301 /there; }
        location /off { access_log off; return 200 off; }
        location /own { access_log %%TESTDIR%%/own plain; return 200 own; location /own/off { access_log off; return 200 off; } location /own/in { return 200 in; } }
        location /if { access_log %%TESTDIR%%/if plain if=\$wanted; return 200 if; }
        location /two { access_log %%TESTDIR%%/own plain; access_log %%TESTDIR%%/if plain; return 200 two; }
        location /offand { access_log %%TESTDIR%%/own plain; access_log off; return 200 off; }
        location /var { access_log %%TESTDIR%%/var-\$arg_a.log plain; return 200 var; }
        location /noroot { root %%TESTDIR%%/missing; access_log %%TESTDIR%%/noroot-\$arg_a.log plain; return 200 var; }
        location /empty { access_log %%TESTDIR%%/empty empty; return 200 var; }
        location /in { if (\$arg_a) { access_log %%TESTDIR%%/own plain; } return 200 in; }
        location /file { }
        location /err { error_page 404 /moved; return 404; }
        location /page { error_page 404 =200 /own/page; return 404; }
    }
}
EOC
my @requests = map { request(@$_, 'Connection: close') } [ 'GET / HTTP/1.1', 'Host: a', 'User-Agent: me/1.0', 'Referer: http://x/' ], [ 'GET /?a=1 HTTP/1.0' ], [ 'HEAD / HTTP/1.1', 'Host: a' ],
    [ 'GET /moved HTTP/1.1', 'Host: a' ], [ 'GET /off HTTP/1.1', 'Host: a' ], [ 'GET /own HTTP/1.1', 'Host: a' ], [ 'GET /own/off HTTP/1.1', 'Host: a' ], [ 'GET /own/in HTTP/1.1', 'Host: a' ],
    (map { [ "GET /if?log=$_ HTTP/1.1", 'Host: a' ] } '', 0, 'yes', 'other'), [ 'GET /two HTTP/1.1', 'Host: a' ], [ 'GET /offand HTTP/1.1', 'Host: a' ],
    (map { [ "GET /var?a=$_ HTTP/1.1", 'Host: a' ] } 1, 2, 1), [ 'GET /noroot?a=1 HTTP/1.1', 'Host: a' ], [ 'GET /empty HTTP/1.1', 'Host: a' ], [ 'GET /in HTTP/1.1', 'Host: a' ], [ 'GET /in?a=1 HTTP/1.1', 'Host: a' ],
    [ 'GET /file/x HTTP/1.1', 'Host: a' ], [ 'GET /file/none HTTP/1.1', 'Host: a' ], [ 'GET /err HTTP/1.1', 'Host: a' ], [ 'GET /page HTTP/1.1', 'Host: a' ],
    (map { [ 'GET / HTTP/1.1', 'Host: a', "User-Agent: $_" ] } 'quo"te', 'back\\slash', "tab\there", "\xc3\xa4 \xff", 'a' x 300, '{"a":1}', "1234567\"", "12345678\"", "\"1234567", '</script>'),
    [ 'GET / HTTP/1.1', 'Host: a', 'Authorization: Basic am9lOng=' ], [ 'GET /?a=%22%5c HTTP/1.1', 'Host: a' ], [ "GET /\x01 HTTP/1.1", 'Host: a' ], [ 'GET / HTTP/1.1' ], [ 'POST / HTTP/1.1', 'Host: a', 'Content-Length: 0' ],
    [ 'BAD' ], [ 'GET /%ff HTTP/1.1', 'Host: a' ];
my %seen;
for my $binary ($Weir::nginx, undef) {
    my $w = Weir->new(conf => $conf, files => { 'html/file/x' => 'file content' }, $binary ? (binary => $binary) : ())->start;
    $w->raw($_) for @requests;
    $w->stop;
    $w->expect_log(qr/\[error\]/);
    for my $name (qw(plain json none dflt own if var-1.log var-2.log noroot-1.log empty)) { $seen{ $w->name }{$name} = [ lines($w->dir . "/$name") ] }
}
for my $name (sort keys %{ $seen{nginx} }) {
    my ($want, $got) = map { $seen{$_}{$name} } qw(nginx weir);
    # An error page is as long as the server's name, and so is the head.
    s/\|(\d+)\|(\d+)$/|LENGTH|$2/ for $name =~ /json|none|dflt|empty/ ? () : (@$want, @$got);
    for my $l (@$want, @$got) { next unless $name =~ /plain|own|if/ && $l =~ /\|(30\d|40\d|41\d)\|/; $l =~ s/\|($1)\|\d+\|/|$1|LENGTH|/; $l =~ s/\|text\/html\|\d+\|/|text\/html|LENGTH|/; $l =~ s/:\d+\//:PORT\//g }
    is(scalar @$got, scalar @$want, "$name: as many lines as nginx");
    for my $i (0 .. $#$want) { is($got->[$i], $want->[$i], "$name: line $i as nginx's") }
}

# ---- buffers

my $w = Weir->new(conf => <<"EOC")->start;
worker_processes 1;
events { }
http {
    log_format short '\$uri';
    log_format long '\$uri \$arg_a';
    server {
        $port;
        location /now { access_log %%TESTDIR%%/now short; return 200 x; }
        location /full { access_log %%TESTDIR%%/full short buffer=64; return 200 x; }
        location /later { access_log %%TESTDIR%%/later short buffer=64k flush=100ms; return 200 x; }
        location /end { access_log %%TESTDIR%%/end short buffer=64k; return 200 x; }
        location /gzip { access_log %%TESTDIR%%/gzip.gz short gzip=6 flush=50ms; return 200 x; }
        location /long { access_log %%TESTDIR%%/long long buffer=64; return 200 x; }
        location /huge { access_log %%TESTDIR%%/huge long; return 200 x; }
        location /cached { open_log_file_cache max=2 valid=1s; access_log %%TESTDIR%%/cached-\$arg_a.log short; return 200 x; }
        location / { access_log off; return 200 x; }
    }
}
EOC
my $d = $w->dir;
my $all = sub { my ($file, $want) = @_; wait_for(sub { join(',', lines("$d/$file")) eq $want }); return join ',', lines("$d/$file") };
$w->get("/now/$_") for 1 .. 3;
is($all->('now', '/now/1,/now/2,/now/3'), '/now/1,/now/2,/now/3', 'without a buffer lines appear at once');
$w->get('/full/' . 'x' x 20) for 1 .. 2;
$w->get('/now/4');
$all->('now', '/now/1,/now/2,/now/3,/now/4');
is(-s "$d/full", 0, 'a buffer that is not full is not written');
$w->get('/full/last');
$w->get('/full/' . 'y' x 20);
is($all->('full', join ',', ('/full/' . 'x' x 20) x 2), join(',', ('/full/' . 'x' x 20) x 2), 'a full one is, by whole lines');
$w->get('/later');
is($all->('later', '/later'), '/later', 'flush=: a line that waited long enough is written');
$w->get('/long?a=' . 'z' x 200);
$w->get('/long?a=1');
$w->get('/long?a=' . 'z' x 60);
is($all->('long', join ',', '/long ' . 'z' x 200, '/long 1', '/long ' . 'z' x 60), join(',', '/long ' . 'z' x 200, '/long 1', '/long ' . 'z' x 60), 'lines longer than the buffer, in order');
my $huge = 'h' x 7000;
my $c = $w->connect;
$c->send(join '', map { "GET /huge?a=$_$huge HTTP/1.1\r\nHost: a\r\n\r\n" } 1 .. 6);
$c->response for 1 .. 6;
my $huge_want = join ',', map { "/huge $_$huge" } 1 .. 6;
is($all->('huge', $huge_want), $huge_want, 'more in one turn than fits');
$w->get('/gzip/1');
my $inflated = '';
wait_for(sub { -s "$d/gzip.gz" });
$w->get('/gzip/2');
my $gz = wait_for(sub { $inflated = ''; gunzip("$d/gzip.gz" => \$inflated, MultiStream => 1); $inflated =~ m{/gzip/2} });
is($inflated, "/gzip/1\n/gzip/2\n", 'gzip: members in a row');
mkdir "$d/html";
for my $a (qw(a b c a a)) { $w->get("/cached?a=$a") }
is($all->('cached-a.log', '/cached,/cached,/cached'), '/cached,/cached,/cached', 'a path with variables, kept open');
is($all->('cached-c.log', '/cached'), '/cached', 'and others');

# Reopening: the old file keeps its lines, the new one gets what is in the buffer and what comes.
rename "$d/now", "$d/now.old";
$w->get('/now/before');
$w->signal('USR1');
wait_for(sub { -e "$d/now" });
wait_for(sub { $w->get('/now/after'); grep { $_ eq '/now/after' } lines("$d/now") });
ok((grep { $_ eq '/now/before' } lines("$d/now.old")), 'USR1: lines before it are in the old file');
ok((grep { $_ eq '/now/after' } lines("$d/now")), 'and those after it in the new one');

$w->get('/end');
is(-s "$d/end", 0, 'still in the buffer');
$w->stop('QUIT');
is(join(',', lines("$d/end")), '/end', 'a worker that ends writes what it has');

# ---- syslog

my $udp = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Proto => 'udp') or die;
my $syslog = Weir->new(vars => { SYSLOG => $udp->sockport }, conf => <<"EOC")->start;
events { }
http {
    log_format short '\$uri \$status';
    access_log syslog:server=127.0.0.1:%%SYSLOG%%,tag=edge,severity=notice,nohostname short;
    server { $port; return 200 x; }
}
EOC
$syslog->get('/to/syslog');
$udp->recv(my $message, 2000);
like($message, qr{^<189>[A-Z][a-z][a-z] [ \d]\d \d\d:\d\d:\d\d edge: /to/syslog 200$}, 'syslog');

# ---- the default

my $plain = Weir->new(no_access_log => 1, conf => "events { }\nhttp { access_log %%TESTDIR%%/c combined; access_log %%TESTDIR%%/d; server { $port; return 200 x; } }\n")->start;
$plain->raw("GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\nConnection: close\r\n\r\n");
wait_for(sub { lines($plain->dir . '/d') });
like($_, qr{^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /x HTTP/1\.1" 200 1 "-" "me"$}, 'combined') for map { lines($plain->dir . "/$_") } qw(c d);

# ---- what is refused

for ([ 'access_log;', 'invalid number of arguments in "access_log" directive' ], [ 'access_log /a none;', 'unknown log format "none"' ], [ 'access_log off x;', 'invalid parameter "x"' ],
     [ 'access_log a combined buffer=0;', 'invalid buffer size "0"' ], [ 'access_log a combined buffer=x;', 'invalid buffer size "x"' ], [ 'access_log a combined flush=1s;', 'no buffer is defined for access_log "a"' ],
     [ 'access_log a combined buffer=1k flush=x;', 'invalid flush time "x"' ], [ 'access_log a combined gzip=0;', 'invalid compression level "0"' ], [ 'access_log a combined foo;', 'invalid parameter "foo"' ],
     [ 'access_log $host combined buffer=1k;', 'buffered logs cannot have variables in name' ], [ 'access_log syslog:server=127.0.0.1 combined buffer=1k;', 'logs to syslog cannot be buffered' ],
     [ 'access_log a combined buffer=1k; access_log a combined buffer=2k;', 'access_log "a" already defined with conflicting parameters' ],
     [ 'log_format combined x;', 'duplicate "log_format" name "combined"' ], [ 'log_format a x; log_format a y;', 'duplicate "log_format" name "a"' ], [ 'log_format a escape=x y;', 'unknown log format escaping "x"' ],
     [ 'log_format a $;', 'invalid parameter "$"' ], [ 'log_format a $nobody;', 'unknown "nobody" variable' ], [ 'log_format a ${host;', 'the closing bracket in "host" variable is missing' ],
     [ 'log_format a x$-;', 'invalid parameter "$-"' ], [ 'log_format a $1;', 'unknown "1" variable' ], [ 'open_log_file_cache inactive=1s;', '"open_log_file_cache" must have "max" parameter' ]) {
    my ($inner, $why) = @$_;
    for my $binary (undef, $Weir::nginx) {
        my $t = Weir->new(conf => "events { }\nhttp { $inner server { $port; } }\n", $binary ? (binary => $binary) : ());
        my ($code, $out) = $t->t_binary('-t');
        ok($code && index($out, $why) >= 0, $t->name . " refuses $inner: $why") or diag($out);
        $t->expect_log(qr/\Q$why\E/, 'refused on purpose');
    }
}
done_testing;
