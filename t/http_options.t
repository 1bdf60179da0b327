# Switches of a server's head, connections and redirects, each value beside nginx: slashes, field names, keep-alive, old browsers, framing.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $back = Weir::Backend->new(sub {
    my ($req) = @_;
    my ($what) = $req->uri =~ m{^/up/(\w*)};
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/html\r\n\r\n5\r\nhello\r\n0\r\n\r\n" if $what eq 'chunked';
    return "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nuntil the end" if $what eq 'close';
    return [302, [Location => 'http://elsewhere.test/a"b<c>&d'], ''] if $what eq 'moved';
    return [200, ['Content-Type' => 'text/plain'], join '', map({ "$_->[0]: " . ($_->[1] // '-') . "\n" } sort { $a->[0] cmp $b->[0] } @{ $req->headers }), $req->uri . "\n"];
});
my $conf = <<'EOC';
events { }
http {
    types_hash_max_size 4096; types_hash_bucket_size 128; server_names_hash_max_size 1024; server_names_hash_bucket_size 128;
    variables_hash_max_size 2048; variables_hash_bucket_size 128; map_hash_max_size 4096; map_hash_bucket_size 128;
    connection_pool_size 512; request_pool_size 8k; read_ahead 64k; send_lowat 0; postpone_output 0; tcp_nodelay off; tcp_nopush on; aio_write off;
    proxy_http_version 1.1; proxy_set_header Connection "";
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location / { return 200 "$uri $http_x_y $http_a_b"; }
        location /f/ { alias %%TESTDIR%%/html/; }
        location /up/ { proxy_pass http://%%BACK%%; }
        location /refresh/ { msie_refresh on; return 302 /there; location /refresh/301 { return 301 http://a.test/?a=b&c="d; } location /refresh/303 { return 303 /x; } location /refresh/307 { return 307 /x; } location /refresh/404 { return 404; } location /refresh/up { proxy_pass http://%%BACK%%/up/moved; } }
        location /nochunk/ { chunked_transfer_encoding off; proxy_http_version 1.1; proxy_pass http://%%BACK%%/up/; location /nochunk/sub/ { chunked_transfer_encoding off; sub_filter l L; alias %%TESTDIR%%/html/; } }
        location /ka/ { keepalive_timeout 75s 20s; return 200 x; }
        location /ka0/ { keepalive_timeout 0; return 200 x; }
        location /ka1000/ { keepalive_timeout 1000ms 15s; return 200 x; }
        location /two/ { keepalive_requests 2; return 200 x; }
        location /time/ { keepalive_time 1ms; return 200 x; }
        location /off/ { keepalive_disable none; return 200 x; }
        location /safari/ { keepalive_disable safari; return 200 x; }
        location /both/ { keepalive_disable msie6 safari; return 200 x; }
        location /tokens/ { server_tokens off; return 404; }
        location /type/ { default_type ""; alias %%TESTDIR%%/html/; }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        merge_slashes off;
        root %%TESTDIR%%/html;
        location / { return 200 "$uri"; }
        location //two/ { return 200 "two $uri"; }
        location /f/ { alias %%TESTDIR%%/html/; }
        location /up/ { proxy_pass http://%%BACK%%; }
        location /path/ { proxy_pass http://%%BACK%%/up/; }
    }
    server {
        listen 127.0.0.1:%%PORT_2%%;
        underscores_in_headers on;
        location / { return 200 "$http_x_y $http_a_b"; }
        location /up/ { proxy_pass http://%%BACK%%; }
    }
    server {
        listen 127.0.0.1:%%PORT_3%%;
        ignore_invalid_headers off;
        location / { return 200 "$http_x_y $http_a_b"; }
        location /up/ { proxy_pass http://%%BACK%%; }
    }
}
EOC
my %files = ('html/a.html' => "hello\n", 'html/noext' => 'x', 'html/sub/b.html' => "b\n");
my %agent = (msie6 => 'Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)', sv1 => 'Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)', msie7 => 'Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1)', msie10 => 'Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2)',
    opera => 'Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; en) Opera 8.50', safari => 'Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10_6) AppleWebKit/531.9 (KHTML, like Gecko) Version/4.0.3 Safari/531.9',
    chrome => 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_6) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/100.0 Safari/537.36', gecko => 'Mozilla/5.0 (X11; Linux) Gecko/20100101 Firefox/100.0', konqueror => 'Mozilla/5.0 (compatible; Konqueror/3.5; Linux)', none => 'x');
sub ask { my ($port, $method, $uri, @fields) = @_; my $bytes = "$method $uri HTTP/1.1\r\nHost: h.test\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n"; return ("$port $method $uri " . join('; ', @fields) => sub { $_[0]->raw($bytes, port => $port) }) }
# What comes of it, and whether the connection stays.
sub twice {
    my ($n, $uri, @fields) = @_;
    my ($method) = $uri =~ s/^(\w+) // ? $1 : 'GET';
    my $version = @fields && $fields[0] =~ s/^1\.0 ?// ? '1.0' : '1.1';
    return ("$n times $method $uri $version @fields" => sub {
        my $c = shift->connect;
        my $m;
        for (1 .. $n) {
            $c->send("$method $uri HTTP/$version\r\nHost: h\r\nContent-Length: 0\r\n" . join('', map { "$_\r\n" } grep { length } @fields) . "\r\n") if !$m || ($m->header('Connection') // '') ne 'close';
            my $next = $c->response or last;
            $m = $next;
            push @{ $m->{headers} }, ['X-Nth', $_];
        }
        return $m;
    });
}
my @odd = ('X_Y: under', 'X-Y: dash', 'A.B: dot', 'A B: space', 'A@B: at', '_A: first', 'A-B : before colon', 'A_B: c', '1: digit', 'A-B:', ': none', "A-B: \ttab\t", 'X-Y: one', '-: -', "A\x80: high");

Weir->compare($conf, [
    map({ my $p = $_; map { ask($p, GET => $_) } qw(/ // //two/ /two//x /a//b///c /a/./b//../c //../x /f//a.html /f/sub//b.html //f/a.html /up//x//y /path//x /a%2f%2fb /a//b?x//y) } 0, 1),
    map({ my $p = $_; map { my $f = $_; (ask($p, GET => '/', $f), ask($p, GET => '/up/x', $f)) } @odd } 0, 2, 3),
    map({ ask($_, GET => '/up/x', @odd[0, 1, 2, 5]) } 0, 2, 3),
    map({ my $a = $_; map { ask(0, GET => $_, "User-Agent: $agent{$a}") } qw(/refresh/ /refresh/301 /refresh/303 /refresh/307 /refresh/404 /refresh/up /up/moved) } qw(msie6 msie10 opera gecko)),
    ask(0, HEAD => '/refresh/', "User-Agent: $agent{msie7}"),
    map({ ask(0, GET => $_) } qw(/nochunk/chunked /nochunk/close /nochunk/sub/a.html /nochunk/x /up/chunked /up/close /tokens/ /type/noext /type/a.html /ka/ /ka0/ /ka1000/)),
    map({ my $u = $_; map { twice(2, $u, "User-Agent: $agent{$_}") } sort keys %agent } '/ka/', 'POST /ka/', 'GET /off/', 'POST /off/', 'GET /safari/', 'POST /safari/', 'POST /both/'),
    map({ twice(3, $_) } qw(/two/ /ka0/ /ka/)), map({ my $u = $_; map { twice(3, $u, "1.0 $_") } '', 'Connection: keep-alive', 'Connection: close' } qw(/two/ /ka/ /ka0/ /off/)),
    twice(3, '/ka/', 'Connection: close'), twice(3, '/ka/', 'Connection: keep-alive'), twice(3, '/ka/', 'Connection: Keep-Alive, x'), twice(3, '/ka/', 'Connection: xclose'),
], differ => {
    map({ ("$_ GET / A-B: \ttab\t" => 'tabs around a value are no part of it (RFC 9110 5.6.3)') } 0, 2, 3),
    '3 times GET /ka/ 1.1 Connection: xclose' => '"xclose" is not "close"',
}, files => \%files, vars => { BACK => $back->addr });
done_testing;
