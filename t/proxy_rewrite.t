# What weir makes of an upstream's answer on its way: cookies rewritten, ranges cut, speed limited, a copy kept; beside nginx.
use lib 't/lib';
use Weir;
use Time::HiRes 'time';

my @cookies = ('a=1', 'a=1; Path=/one/x; Domain=.example.com', 'a=1;  path=/two ;domain=EXAMPLE.com; Secure', 'b=2; HttpOnly; SameSite=Lax; Max-Age=3',
    'c=3; secure; httponly; samesite=none; path=/', 'noval; Path=/one/', 'd=; Domain=www.other.org; Path=/re/Thing/a', 'e = 5 ; Path = /one/y ; ; Secure=1', 'session=x; Domain=example.com', 'SESSION=y',
    'f=a=b; Path=/one/', 'g="q;r"; Path=/one/', '=v; Path=/one/', 'h=1; Path', 'h=1; Path=; Domain=', 'none=1; Path=/zzz', 'u=1; Domain=sub.example.com');
my $text = join '', map { "line $_\n" } 1 .. 500;
my $modified = 'Mon, 23 Nov 2026 06:28:15 GMT';
my $backend = Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    my $uri = $req->uri;
    return [200, [map { ('Set-Cookie' => $_) } @cookies], 'x'] if $uri =~ /cookies/;
    if ($uri =~ /cut/) { $conn->send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"); $conn->close; return undef }
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nLast-Modified: $modified\r\n\r\n" . join('', map { sprintf "%x\r\n%s\r\n", length, $_ } $text =~ /(.{1,700})/sg) . "0\r\n\r\n" if $uri =~ /chunked/;
    return "HTTP/1.0 200 OK\r\n\r\n$text" if $uri =~ /old/;
    return [404, [], 'no'] if $uri =~ /missing/;
    return 'y' x 1500000 if $uri =~ /big/;
    return [200, ['ETag' => '"tag"', 'Last-Modified' => $modified, $uri =~ /offers/ ? ('Accept-Ranges' => 'bytes') : ()], $uri =~ /empty/ ? '' : $text];
});

my $conf = <<'EOC';
events { }
http {
    proxy_set_header Connection "";
    proxy_http_version 1.1;
    map $http_x_flag $flag { default secure; none ""; bad what; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://%%B%%; }
        location /domain/ { proxy_cookie_domain example.com .front.net; proxy_cookie_domain ~^(www)\.Other\.org$ $1.mine.org; proxy_pass http://%%B%%; }
        location /dotted/ { proxy_cookie_domain .example.com $host; proxy_pass http://%%B%%; }
        location /path/ { proxy_cookie_path /one/ /new/; proxy_cookie_path ~*^/RE/(thing)/(.*)$ /$2/$1; proxy_cookie_path ~^/two "/zwei; Priority=High"; proxy_pass http://%%B%%; }
        location /flags/ { proxy_cookie_flags a secure; proxy_cookie_flags ~^[b-d]$ httponly samesite=strict; proxy_cookie_flags session nosecure; proxy_cookie_flags $arg_name samesite=none; proxy_pass http://%%B%%; }
        location /noflags/ { proxy_cookie_flags ~. nosecure nohttponly nosamesite; proxy_cookie_path / /all/; proxy_pass http://%%B%%; }
        location /varflags/ { proxy_cookie_flags ~. $flag samesite=lax; proxy_pass http://%%B%%; }
        location /all/ { proxy_cookie_domain example.com b.org; proxy_cookie_path /one /1; proxy_cookie_flags ~. secure; proxy_pass http://%%B%%;
            location /all/off/ { proxy_cookie_domain off; proxy_cookie_path off; proxy_cookie_flags off; proxy_pass http://%%B%%; } }
        location /ranges/ { proxy_force_ranges on; proxy_pass http://%%B%%; }
        location /hidden/ { proxy_hide_header Set-Cookie; proxy_cookie_flags ~. secure; proxy_pass http://%%B%%; }
        location /store/ { root %%TESTDIR%%/kept; proxy_store on; proxy_pass http://%%B%%; }
        location /named/ { proxy_store %%TESTDIR%%/kept/by-name$uri.txt; proxy_store_access user:rw group:rw all:r; proxy_pass http://%%B%%; }
    }
}
EOC

sub kept {      # what is in the folder: name, permissions, time where it was told, length
    my $w = shift;
    my $top = $w->dir . '/kept';
    wait_for(sub { !glob $w->dir . '/proxy_temp/*' }, 2);
    my @found = map { chomp; s{^\Q$top\E}{}r } `find $top -printf '%p %m %y %s %T+\n' 2>/dev/null`;
    for (@found) { s/ 2026-11-23\+06:28:15\S*$/ as told/ or s/ \d{4}-\S+$/ now/; s/ \d+( now)$/$1/ if / d / }
    return Weir::Message->new(status => 200, body => join "\n", sort @found) if Weir::Message->can('new');
    return join "\n", sort @found;
}

sub get { my ($uri, %h) = @_; return "GET $uri HTTP/1.1\r\nHost: front.example\r\n" . join('', map { "$_: $h{$_}\r\n" } sort keys %h) . "\r\n" }

my @pair = Weir->compare($conf, [
    (map { ("cookies: $_" => get("/$_/cookies")) } qw(none domain dotted path flags noflags varflags all all/off hidden)),
    'cookies: flags by a variable' => get('/flags/cookies?name=u'), 'cookies: an empty flag' => get('/varflags/cookies', 'X-Flag' => 'none'),
    (map { my $u = $_; map { ("ranges $u $_" => get($u, Range => $_)) } 'bytes=0-9', 'bytes=-5', 'bytes=5-', 'bytes=0-1,4-5', 'bytes=100000-', 'bytes=9-1' } '/ranges/x', '/ranges/offers', '/ranges/chunked', '/ranges/empty', '/plain/offers'),
    'ranges: none asked for' => get('/ranges/offers'),
    'ranges: of another version' => get('/ranges/x', Range => 'bytes=0-3', 'If-Range' => '"else"'),
    'ranges: of this version' => get('/ranges/x', Range => 'bytes=0-3', 'If-Range' => '"tag"'),
    'not modified is the upstream\'s to say' => get('/x', 'If-None-Match' => '"tag"'),
    'nor since' => get('/x', 'If-Modified-Since' => $modified), 'nor match' => get('/x', 'If-Match' => '"no"'),
    (map { ("stored $_" => get($_)) } '/store/one/two', '/store/one/chunked', '/named/old', '/named/empty', '/store/missing', '/store/cut', '/named/a%20b', '/named/old'),
    'stored HEAD' => sub { my $c = $_[0]->connect; $c->send("HEAD /store/head HTTP/1.1\r\nHost: x\r\n\r\n"); $c->response(method => 'HEAD') },
], vars => { B => $backend->addr }, differ => { 'stored HEAD' => '' } && {});
is(kept($pair[1]), kept($pair[0]), 'the copies, their folders, permissions and times: as nginx');
like(kept($pair[1]), qr/by-name\/named\/old\.txt 664 f @{[length $text]} now/, 'one of them');
is(Weir::slurp($pair[1]->dir . '/kept/store/one/chunked'), $text, 'without the framing');
like($pair[1]->error_log, qr/invalid proxy_cookie_flags flag/ , 'a flag that is none') if $pair[1]->get('/varflags/cookies', headers => ['X-Flag' => 'bad']);
is(scalar(() = glob $pair[1]->dir . '/proxy_temp/*'), 0, 'no temporary file is left');

my $w = Weir->new(vars => { B => $backend->addr }, conf => <<'EOC')->start;
worker_processes 1;
events { }
http {
    log_format l "$uri $status $upstream_response_length $upstream_response_time";
    access_log access.log l;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://%%B%%; }
        location /slow/ { proxy_limit_rate 500k; proxy_pass http://%%B%%; }
        location /var/ { proxy_limit_rate $arg_rate; proxy_pass http://%%B%%; }
        location /held/ { proxy_limit_rate 1k; proxy_buffering off; proxy_pass http://%%B%%; }
        location /store/ { proxy_store kept$uri; proxy_pass http://%%B%%; }
        location /away/ { proxy_store /dev/shm/weir-%%PORT_0%%$uri; proxy_pass http://%%B%%; }
        location /nowhere/ { proxy_store /proc/none$uri; proxy_pass http://%%B%%; }
    }
}
EOC
my $began = time;
is(length $w->get('/slow/big')->body, 1500000, 'limited to 500k a second: whole');
my $took = time - $began;
ok($took > 1.5 && $took < 8, "in its time ($took)");
$began = time;
is(length $w->get("/$_")->body, 1500000, "$_: whole") for 'held/big', 'var/big?rate=0', 'var/big?rate=100m';
ok(time - $began < 5, 'at full speed where it is not limited');
my ($times) = grep { m{^/slow/} } $w->wait_access(1);
like($times, qr{ 1500000 [1-7]\.\d+$}, 'the upstream was read slowly');

my $c = $w->connect;
$c->send("GET /store/big HTTP/1.1\r\nHost: x\r\n\r\n");
$c->bytes(20);
$c->close;
ok(wait_for(sub { -s $w->dir . '/kept/store/big' }, 5), 'the client left: the copy is made all the same');
is(-s $w->dir . '/kept/store/big', 1500000, 'whole');
is($w->get('/away/x')->body, $text, 'to another file system');
my $away = '/dev/shm/weir-' . $w->port(0);
is(Weir::slurp("$away/away/x"), $text, 'the copy got there');
system 'rm', '-r', $away;
is($w->get('/nowhere/x')->body, $text, 'a place that cannot be: the client has its answer');
ok($w->wait_error(qr{\[crit\].*open\(\) "/proc/none/nowhere/x" failed}), 'and the log says so');
is(scalar(() = glob $w->dir . '/proxy_temp/*'), 0, 'no temporary file is left');

# What is refused.
for my $line ('proxy_cookie_domain off; proxy_cookie_domain a b;', 'proxy_cookie_domain a b; proxy_cookie_domain off;', 'proxy_cookie_path on;', 'proxy_cookie_flags a what;', 'proxy_cookie_path ~( x;',
              'proxy_limit_rate fast;', 'proxy_store_access all:x;', 'proxy_store "";') {
    my $bad = Weir->new(conf => "events { } http { server { listen 127.0.0.1:1; location / { $line proxy_pass http://127.0.0.1:1; } } }", plain => 1);
    my ($code, $out) = $bad->t_binary;
    is($code, 1, "$line is refused") or diag($out);
}
done_testing;
