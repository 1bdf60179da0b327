# A typical site written for nginx: weir -t takes it unchanged, and each request gets the same answer as from Debian's nginx.
use lib 't/lib';
use Weir;

plan(skip_all => 'nginx is not installed') unless -x $Weir::nginx;

my $app = Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    my ($path) = $req->uri =~ m{^([^?]*)};
    return [200, ['Content-Type' => 'text/plain', 'X-Powered-By' => 'app', 'Set-Cookie' => 'a=1; Path=/', 'Set-Cookie' => 'b=2'],
        join "\n", $req->method . ' ' . $req->uri, (map { my $n = $_; map { "$n: $_" } $req->header($n) } qw(Host X-Real-IP X-Forwarded-For X-Forwarded-Proto Connection Upgrade User-Agent Content-Type X-Extra)), 'body: ' . $req->body, '']
        if $path =~ m{/echo};
    return [302, [Location => 'http://app.example/login?next=1', 'Content-Type' => 'text/html'], ''] if $path =~ m{/redirect$};
    return [302, [Location => '/elsewhere'], ''] if $path =~ m{/redirect-relative$};
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n5\r\n{\"a\":\r\n3\r\n 1}\r\n0\r\n\r\n" if $path =~ m{/chunked$};
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end" if $path =~ m{/close$};
    return [500, ['Content-Type' => 'text/plain'], "the app's own words"] if $path =~ m{/broken$};
    return [404, ['Content-Type' => 'text/plain'], 'no such thing'] if $path =~ m{/missing$};
    return [204, [], ''] if $path =~ m{/nothing$};
    return [304, [ETag => '"x"'], ''] if $path =~ m{/same$};
    return [200, ['Content-Type' => 'application/octet-stream', 'Accept-Ranges' => 'bytes'], 'x' x 300_000] if $path =~ m{/large$};
    return "app: " . $req->uri;
});

my $conf = <<'EOC';
worker_processes  2;

events {
    worker_connections  256;
    multi_accept        on;
}

http {
    include       %%TESTDIR%%/mime.types;
    default_type  application/octet-stream;

    log_format  main  '$remote_addr - $remote_user [$time_local] "$request" '
                      '$status $body_bytes_sent "$http_referer" '
                      '"$http_user_agent" "$http_x_forwarded_for"';
    access_log  %%TESTDIR%%/access.log  main;

    sendfile            on;
    keepalive_timeout   65;
    server_tokens       off;
    client_max_body_size 1m;
    client_body_buffer_size 16k;
    large_client_header_buffers 4 8k;

    proxy_http_version  1.1;
    proxy_set_header    Connection "";
    proxy_connect_timeout 5s;
    proxy_read_timeout  15s;

    upstream app {
        server %%APP%% max_fails=3 fail_timeout=10s;
        server 127.0.0.1:%%PORT_9%% backup;
        keepalive 8;
    }

    server {
        listen       127.0.0.1:%%PORT_0%% default_server;
        server_name  _;
        return       404;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  old.example;
        return       301 https://www.example$request_uri;
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  ~^(?<user>[a-z]+)\.people\.example$;
        default_type text/plain;
        return       200 "page of $user, $host, $uri, $args\n";
    }

    server {
        listen       127.0.0.1:%%PORT_0%%;
        server_name  www.example example *.shop.example;
        root         %%TESTDIR%%/www;
        index        index.html index.txt;

        error_page   404              /404.html;
        error_page   502 504          /50x.html;

        location / {
        }

        location = /exact {
            default_type text/plain;
            return 200 "exact\n";
        }

        location ^~ /assets/ {
            alias %%TESTDIR%%/files/;
        }

        location ~* \.(gif|png)$ {
            root %%TESTDIR%%/images;
        }

        location ~ ^/version/(\d+)/(?<rest>.*)$ {
            default_type text/plain;
            return 200 "version $1 of $rest\n";
        }

        location /app/ {
            proxy_pass       http://app;
            proxy_set_header Host              $host;
            proxy_set_header X-Real-IP         $remote_addr;
            proxy_set_header X-Forwarded-For   $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Connection        "";
            proxy_hide_header X-Powered-By;
            proxy_redirect   http://app.example/ /app/;

            location /app/inner/ {
                proxy_pass http://app/outer/;
            }
        }

        location /api/ {
            proxy_pass http://app/v1/;
            proxy_intercept_errors on;
            error_page 500 = @broken;
        }

        location @broken {
            default_type application/json;
            return 503 '{"error":"later"}';
        }

        location /dynamic/ {
            proxy_pass http://%%APP%%$request_uri;
            proxy_pass_request_headers off;
        }

        location /dead/ {
            proxy_pass http://127.0.0.1:%%PORT_9%%;
        }

        location = /404.html { internal; }
        location = /50x.html { internal; }

        location /private/ {
            return 403;
        }

        location /moved { return 301 /app/; }
        location /gone  { return 410; }
        location /drop  { return 444; }
    }
}
EOC

my %files = (
    'mime.types'       => Weir::slurp("$Weir::top/conf/mime.types"),
    'www/index.html'   => "<h1>home</h1>\n",
    'www/404.html'     => "<h1>not here</h1>\n",
    'www/50x.html'     => "<h1>not now</h1>\n",
    'www/a.txt'        => 'a' x 1000,
    'www/sub/index.txt' => "sub\n",
    'www/with space.txt' => "space\n",
    'www/empty'        => '',
    'files/s.css'      => "body { }\n",
    'files/big.js'     => 'x' x 200_000,
    'images/i.png'     => "\x89PNG",
    'www/noindex/x'    => "x\n",
);

sub get { my ($uri, @more) = @_; return "GET $uri HTTP/1.1\r\nHost: www.example\r\nUser-Agent: test\r\n" . join('', map { "$_\r\n" } @more) . "\r\n" }

my @requests = (
    'home'                    => get('/'),
    'home, HEAD'              => "HEAD / HTTP/1.1\r\nHost: www.example\r\n\r\n",
    'home, HTTP/1.0'          => "GET / HTTP/1.0\r\nHost: www.example\r\n\r\n",
    'no Host, HTTP/1.0'       => "GET /a HTTP/1.0\r\n\r\n",
    'close'                   => get('/a.txt', 'Connection: close'),
    'file'                    => get('/a.txt'),
    'file, query'             => get('/a.txt?x=1'),
    'file, escaped name'      => get('/with%20space.txt'),
    'file, dots'              => get('/sub/../a.txt'),
    'file, double slash'      => get('//a.txt'),
    'file, empty'             => get('/empty'),
    'file, not modified'      => get('/a.txt', 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'),
    'file, etag'              => get('/a.txt', 'If-None-Match: "6553f100-3e8"'),
    'file, POST'              => "POST /a.txt HTTP/1.1\r\nHost: www.example\r\nContent-Length: 0\r\n\r\n",
    'folder, index'           => get('/sub/'),
    'folder without slash'    => get('/sub'),
    'folder without index'    => get('/noindex/'),
    'not found, own page'     => get('/none'),
    'exact'                   => get('/exact'),
    'not quite exact'         => get('/exact/'),
    'alias'                   => get('/assets/s.css'),
    'alias, large'            => get('/assets/big.js'),
    'alias beats regex'       => get('/assets/i.png'),
    'regex, no case'          => get('/i.PNG'),
    'regex'                   => get('/i.png'),
    'regex with captures'     => get('/version/12/a/b'),
    'internal'                => get('/404.html'),
    'forbidden'               => get('/private/x'),
    'moved'                   => get('/moved/x'),
    'gone'                    => get('/gone'),
    'dropped'                 => get('/drop'),
    'another name'            => "GET /x?y HTTP/1.1\r\nHost: old.example\r\n\r\n",
    'wildcard name'           => "GET / HTTP/1.1\r\nHost: a.b.shop.example\r\n\r\n",
    'name with port and case' => "GET /exact HTTP/1.1\r\nHost: WWW.Example:8080\r\n\r\n",
    'name with a dot'         => "GET /exact HTTP/1.1\r\nHost: www.example.\r\n\r\n",
    'regex name'              => "GET /p?q=1 HTTP/1.1\r\nHost: ann.people.example\r\n\r\n",
    'default server'          => "GET / HTTP/1.1\r\nHost: unknown.example\r\n\r\n",
    'absolute URI'            => "GET http://www.example/exact HTTP/1.1\r\nHost: other\r\n\r\n",
    'proxied'                 => get('/app/echo?a=b', 'X-Extra: 1', 'X-Extra: 2'),
    'proxied, forwarded'      => get('/app/echo', 'X-Forwarded-For: 10.0.0.1'),
    'proxied, escapes'        => get('/app/echo/%41%2f%20?%41'),
    'proxied, nested'         => get('/app/inner/echo'),
    'proxied, HTTP/1.0'       => "GET /app/echo HTTP/1.0\r\nHost: www.example\r\n\r\n",
    'proxied, HEAD'           => "HEAD /app/echo HTTP/1.1\r\nHost: www.example\r\n\r\n",
    'proxied, POST'           => "POST /app/echo HTTP/1.1\r\nHost: www.example\r\nContent-Type: text/x\r\nContent-Length: 5\r\n\r\nhello",
    'proxied, POST in chunks' => "POST /app/echo HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    'proxied, 100-continue'   => "POST /app/echo HTTP/1.1\r\nHost: www.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    'proxied, large POST'     => "POST /app/echo HTTP/1.1\r\nHost: www.example\r\nContent-Length: 100000\r\n\r\n" . 'p' x 100_000,
    'proxied, too large POST' => "POST /app/echo HTTP/1.1\r\nHost: www.example\r\nContent-Length: 2000000\r\n\r\n",
    'proxied, redirect'       => get('/app/redirect'),
    'proxied, redirect 2'     => get('/app/redirect-relative'),
    'proxied, chunked'        => get('/app/chunked'),
    'proxied, chunked to 1.0' => "GET /app/chunked HTTP/1.0\r\nHost: www.example\r\n\r\n",
    'proxied, until close'    => get('/app/close'),
    'proxied, 404'            => get('/app/missing'),
    'proxied, 500'            => get('/app/broken'),
    'proxied, 204'            => get('/app/nothing'),
    'proxied, 304'            => get('/app/same'),
    'proxied, large'          => get('/app/large'),
    'proxied with URI'        => get('/api/echo/x?y'),
    'intercepted'             => get('/api/broken'),
    'intercepted, not this'   => get('/api/missing'),
    'proxied with variables'  => get('/dynamic/echo?z', 'X-Extra: 1'),
    'nobody there'            => get('/dead/x'),
    'bad: no Host'            => "GET / HTTP/1.1\r\n\r\n",
    'bad: two Hosts'          => "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    'bad: Host'               => "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    'bad: request line'       => "GET\r\n\r\n",
    'bad: version'            => "GET / HTTP/9.9\r\n\r\n",
    'bad: length'             => "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    'bad: URI'                => "GET /../../x HTTP/1.1\r\nHost: www.example\r\n\r\n",
    'bad: escape'             => "GET /%zz HTTP/1.1\r\nHost: www.example\r\n\r\n",
    'unknown method'          => "BREW /a.txt HTTP/1.1\r\nHost: www.example\r\n\r\n",
    'long header'             => get('/a.txt', 'X-Long: ' . 'y' x 9000),
    'long URI'                => get('/' . 'u' x 9000),
    'LF only'                 => "GET /exact HTTP/1.1\nHost: www.example\n\n",
    'HTTP/0.9'                => "GET /exact\r\n",
);

Weir->compare($conf, \@requests, files => \%files, vars => { APP => $app->addr });
done_testing;
