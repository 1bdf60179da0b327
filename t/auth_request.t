# auth_request: another uri decides; its status, challenge and variables.
use lib 't/lib';
use Weir;

my $auth = Weir::Backend->new(sub {
    my ($req) = @_;
    my ($status) = $req->uri =~ /(\d\d\d)/;
    return [401, ['WWW-Authenticate' => 'Basic realm="up"', 'WWW-Authenticate' => 'Bearer'], 'no'] if $status == 401;
    return [200, ['X-User' => 'ann'], 'y' x 200000] if $req->uri =~ /big/;
    return "HTTP/1.1 200 OK\r\nX-User: chunky\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n" if $req->uri =~ /chunked/;
    return [$status, ['X-User' => 'joe ' . $req->method . ' ' . length($req->body // ''), 'X-Orig' => $req->header('X-Original-URI') // '-', Location => '/elsewhere'], 'body'];
});
my $back = Weir::Backend->new(sub { my ($req) = @_; return [200, [], join ' ', $req->method, $req->uri, 'user=' . ($req->header('X-User') // '-'), length($req->body // ''), "\n"] });
my $conf = <<'EOC';
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location / { auth_request /ok; }
        location /no/ { auth_request /s403; }
        location /unauth/ { auth_request /s401; }
        location /wrong/ { auth_request /s500; }
        location /gone/ { auth_request /nothing; }
        location /redirect/ { auth_request /s302; }
        location /created/ { auth_request /s201; alias %%TESTDIR%%/html/; }
        location /empty/ { auth_request /s204; alias %%TESTDIR%%/html/; }
        location /off/ { auth_request off; alias %%TESTDIR%%/html/; }
        location = /ok { internal; return 200 "fine"; }
        location = /s403 { internal; return 403; }
        location = /s401 { internal; return 401; }
        location = /s500 { return 500; }
        location = /s302 { return 302 /x; }
        location = /s201 { return 201; }
        location = /s204 { return 204; }
        location = /file { auth_request /allowed.txt; alias %%TESTDIR%%/html/a.txt; }
        location /up/ { auth_request /auth/200; auth_request_set $user $upstream_http_x_user; auth_request_set $st "$upstream_status $uri"; add_header X-Seen "$user|$st" always; alias %%TESTDIR%%/html/; }
        location /up401/ { auth_request /auth/401; auth_request_set $st $upstream_status; add_header X-Seen "$st" always; }
        location /up403/ { auth_request /auth/403; }
        location /up404/ { auth_request /auth/404; }
        location /upbig/ { auth_request /auth/big200; auth_request_set $user $upstream_http_x_user; add_header X-Seen $user; alias %%TESTDIR%%/html/; }
        location /upchunked/ { auth_request /auth/chunked200; auth_request_set $user $upstream_http_x_user; add_header X-Seen $user; alias %%TESTDIR%%/html/; }
        location /proxied/ { auth_request /auth/200; auth_request_set $user $upstream_http_x_user; proxy_set_header X-User $user; proxy_pass http://%%BACK%%; }
        location /dead/ { auth_request /down; }
        location = /down { proxy_pass http://127.0.0.1:%%PORT_9%%; }
        location /auth/ { internal; proxy_pass http://%%AUTH%%; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header X-Original-URI $request_uri; }
        location /any1/ { satisfy any; deny all; auth_request /ok; alias %%TESTDIR%%/html/; }
        location /any2/ { satisfy any; deny all; auth_request /s401; alias %%TESTDIR%%/html/; }
        location /any3/ { satisfy any; allow all; auth_request /s401; alias %%TESTDIR%%/html/; }
        location /all/ { deny all; auth_request /ok; alias %%TESTDIR%%/html/; }
        location /ep/ { auth_request /s401; error_page 401 =200 /off/a.txt; }
        location /ep2/ { auth_request /epsub; alias %%TESTDIR%%/html/; }
        location = /epsub { error_page 404 =200 /ok; root %%TESTDIR%%/none; }
        location /named/ { auth_request /s403; error_page 403 = @login; }
        location @login { return 302 http://login/?u=$request_uri; }
        location /twice/ { auth_request /ok; try_files /nothing /again/a.txt; }
        location /again/ { auth_request /s403; }
        location /setuse/ { auth_request /setter; return 200 "never"; }
        location /shared/ { auth_request /setter; set $who main; add_header X-Who $who; alias %%TESTDIR%%/html/; }
        location = /setter { set $who sub; return 200; }
        location /denied/ { auth_request /deniedsub; alias %%TESTDIR%%/html/; }
        location = /deniedsub { deny all; return 200; }
        location /cut/ { auth_request /r444; alias %%TESTDIR%%/html/; }
        location = /r444 { return 444; }
        location /index/ { auth_request /ok; alias %%TESTDIR%%/html/; index a.txt; }
    }
}
EOC
my %files = map { ("html/$_->[0]" => $_->[1]) } ['a.txt', "the file\n"], ['allowed.txt', 'x'], ['again/a.txt', 'again'], ['index.html', 'i'], ['big', join '', map { chr(97 + $_ % 26) x 9 . "\n" } 1 .. 30000];
sub get { my ($uri, @fields) = @_; return "GET $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n" }
sub ask { my ($what, @rest) = @_; return ("$what @rest" => get($what, @rest)) }

Weir->compare($conf, [
    map({ ask($_) } qw(/a.txt /missing /big /no/a.txt /unauth/a.txt /wrong/a.txt /gone/a.txt /redirect/a.txt /created/a.txt /empty/a.txt /off/a.txt /ok /s403 /file /up/a.txt /up/none /up401/a.txt
        /up403/a.txt /up404/a.txt /upbig/a.txt /upchunked/a.txt /proxied/x?y=z /dead/a.txt /any1/a.txt /any2/a.txt /any3/a.txt /all/a.txt /ep/a.txt /ep2/a.txt /named/a.txt /twice/x /setuse/
        /shared/a.txt /denied/a.txt /cut/a.txt /index/)),
    ask('/a.txt', 'Range: bytes=0-3'),
    HEAD => "HEAD /up/a.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    'POST' => "POST /proxied/p HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    'POST refused' => "POST /up403/p HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    'three on a connection' => sub { my $c = shift->connect; my $m; $c->send("GET $_ HTTP/1.1\r\nHost: h\r\n\r\n"), $m = $c->response for '/up/a.txt', '/no/a.txt', '/up/a.txt'; $m },
], differ => { '/up401/a.txt ' => 'every challenge is passed on, as in nginx from 1.23 on' }, files => \%files, vars => { AUTH => $auth->addr, BACK => $back->addr });

# A client that leaves while the auth subrequest waits.
pipe my $there, my $told or die;
my $hang = Weir::Backend->new(sub { syswrite $told, "x"; my ($req, $conn) = @_; $conn->line; syswrite $told, "y"; undef }, timeout => 20);
my $w = Weir->new(conf => <<'EOC', vars => { HANG => $hang->addr })->start;
events { }
http { server { listen 127.0.0.1:%%PORT_0%%; location / { auth_request /a; return 200; root /none; } location /f/ { auth_request /a; } location = /a { proxy_pass http://%%HANG%%; } } }
EOC
my $c = $w->connect;
$c->send("GET /f/x HTTP/1.1\r\nHost: h\r\n\r\n");
sysread $there, my $x, 1;
$c->close;
sysread $there, $x, 1;
is($x, 'y', 'the subrequest ends with its client');
ok(wait_for(sub { $w->access_log =~ /"GET \/f\/x HTTP\/1.1" 499 0 / }), 'and is logged as 499');
done_testing;
