# Debian's configuration of nginx, as the package installs it, and sites as people write them: taken unchanged as far as the
# modules are there, and what is missing is named by the error and nothing else stands in the way.
use lib 't/lib';
use Weir;
use Weir::Pem;
use Cwd qw(abs_path);
use File::Copy qw(copy);

plan(skip_all => 'nginx is not installed') unless -f '/etc/nginx/nginx.conf' && -x $Weir::nginx;

# A module that later versions have: the row is known once it is there.
my $weir = Weir->new(conf => "events { }\n")->{binary};
my %known = map { ((split /\t/)[1] => 1) } `$weir -h directives`;

# The package's files in the test's own folder: paths and ports are all that is changed.
sub installed {
    my ($w, %o) = @_;
    system('cp', '-RL', '/etc/nginx', $w->dir . '/etc') == 0 or die;
    for my $file ($w->dir . '/etc/nginx.conf', glob $w->dir . '/etc/sites-enabled/*') {
        my $text = Weir::slurp($file);
        $text =~ s{/etc/nginx}{$w->dir . '/etc'}ge;
        $text =~ s{/var/log/nginx}{$w->dir}ge;
        $text =~ s{/run/nginx\.pid}{$w->dir . '/weir.pid'}ge;
        $text =~ s{/var/www/html}{$w->dir . '/html'}ge;
        $text =~ s{listen 80 }{'listen 127.0.0.1:' . $w->port(0) . ' '}ge;
        $text =~ s{listen \[::\]:80 }{'listen [::1]:' . $w->port(1) . ' '}ge;
        $text =~ s{^\s*ssl_.*}{}mg unless $o{ssl};
        open my $out, '>', $file or die;
        print $out $text;
        close $out;
    }
    $w->write_file('html/index.html', "<h1>it works</h1>\n");
    $w->write_conf(Weir::slurp($w->dir . '/etc/nginx.conf'), 'etc/nginx.conf');
    rename $w->dir . '/etc/nginx.conf', $w->dir . '/weir.conf' or die;
    return $w;
}

my $has_ssl = $known{ssl_protocols} && $known{ssl_prefer_server_ciphers};
my $w = installed(Weir->new(plain => 1), ssl => $has_ssl);
# user www-data is Debian's; the rest of the file too.
my ($code, $said) = $w->t_binary;
is($code, 0, 'nginx.conf with the default site: -t' . ($has_ssl ? '' : ' (but for ssl_*)')) or diag $said;
chmod 0755, $w->dir;
$w->start;
is($w->get('/')->body, "<h1>it works</h1>\n", 'the default site: /');
is($w->get('/none')->status, 404, 'try_files … =404');
is($w->get('/', headers => ['Accept-Encoding' => 'gzip'])->status, 200, 'gzip on');
ok($w->stop, 'stop');

unless ($has_ssl) {
    $w = installed(Weir->new(plain => 1), ssl => 1);
    ($code, $said) = $w->t_binary;
    is($code, 1, 'ssl_protocols is not there yet');
    my @emerg = grep { /\[emerg\]/ } split /\n/, $said;
    like("@emerg", qr/unknown directive "ssl_protocols"/, 'and that is what is said');
    is(scalar @emerg, 1, 'nothing else');
}

# An nginx module is no module of weir: the file that loads it is named, and what to do.
$w = installed(Weir->new(plain => 1), ssl => $has_ssl);
$w->write_file('etc/modules-enabled/50-mod-http-echo.conf', "load_module modules/ngx_http_echo_module.so;\n");
($code, $said) = $w->t_binary;
is($code, 1, 'load_module of an nginx module: refused');
like($said, qr{\[emerg\].*ngx_http_echo_module\.so.*in \S+/modules-enabled/50-mod-http-echo\.conf:1}, 'by file and line') or diag $said;

# But what weir has built in is not missed.
$w = installed(Weir->new(plain => 1), ssl => $has_ssl);
$w->write_file('etc/modules-enabled/50-mod-http-acme.conf', "load_module modules/ngx_http_acme_module.so;\n");
($code, $said) = $w->t_binary;
is($code, $has_ssl ? 0 : 1, 'load_module of what is built in') or diag $said;
like($said, qr{\[warn\] "load_module" has no effect, what "modules/ngx_http_acme_module\.so" brings is part of weir in \S+/50-mod-http-acme\.conf:1}, 'a warning') if $has_ssl;

# Sites: (name, the directive that stops it unless it is there, text)
my $params = "$Weir::top/conf";
my @sites = (
    ['reverse proxy', '', <<'EOC'],
    upstream app { server 127.0.0.1:%%PORT_2%%; server 127.0.0.1:%%PORT_3%% backup; keepalive 16; }
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name app.example.com;
        client_max_body_size 20m;
        location / {
            proxy_pass http://app;
            include /etc/nginx/proxy_params;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 90s;
            proxy_buffering off;
        }
        location /static/ { alias %%TESTDIR%%/html/; expires 30d; add_header Cache-Control "public, immutable"; access_log off; }
        error_page 500 502 503 504 /50x.html;
        location = /50x.html { root %%TESTDIR%%/html; internal; }
    }
EOC
    ['static files', '', <<'EOC'],
    gzip on; gzip_vary on; gzip_proxied any; gzip_comp_level 6; gzip_min_length 256; gzip_types text/plain text/css application/json;
    open_file_cache max=1000 inactive=20s; open_file_cache_valid 30s; open_file_cache_min_uses 2; open_file_cache_errors on;
    limit_req_zone $binary_remote_addr zone=one:10m rate=10r/s;
    limit_conn_zone $binary_remote_addr zone=addr:10m;
    server {
        listen 127.0.0.1:%%PORT_0%% default_server;
        server_name example.com www.example.com;
        root %%TESTDIR%%/html;
        index index.html index.htm;
        charset utf-8;
        server_tokens off;
        if ($host = www.example.com) { return 301 $scheme://example.com$request_uri; }
        location / { try_files $uri $uri/ /index.html; }
        location = /favicon.ico { log_not_found off; access_log off; }
        location ~* \.(?:css|js|jpe?g|png|svg|woff2?)$ { expires 1y; add_header Cache-Control public; }
        location ~ /\.(?!well-known) { deny all; }
        location /download/ { limit_req zone=one burst=5 nodelay; limit_conn addr 1; limit_rate_after 1m; limit_rate 100k; autoindex on; }
        location /admin/ { auth_basic "admin"; auth_basic_user_file %%TESTDIR%%/htpasswd; allow 10.0.0.0/8; deny all; satisfy any; }
    }
EOC
    ['PHP', 'fastcgi_pass', <<'EOC'],
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name blog.example.com;
        root %%TESTDIR%%/html;
        index index.php index.html;
        client_max_body_size 64m;
        location / { try_files $uri $uri/ /index.php?$args; }
        location ~ \.php$ {
            include %%TESTDIR%%/snippets/fastcgi-php.conf;
            fastcgi_pass unix:/run/php/php8.2-fpm.sock;
        }
        location ~ /\.ht { deny all; }
    }
EOC
    ['TLS', 'ssl_certificate', <<'EOC'],
    server { listen 127.0.0.1:%%PORT_0%%; server_name example.com; return 301 https://$host$request_uri; }
    server {
        listen 127.0.0.1:%%PORT_1%% ssl;
        server_name example.com;
        include %%TESTDIR%%/snippets/snakeoil.conf;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:SSL:10m;
        ssl_session_timeout 1d;
        add_header Strict-Transport-Security "max-age=63072000" always;
        root %%TESTDIR%%/html;
    }
EOC
);
# The package's snippets, with a certificate that is there.
my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('server', by => 'ca', names => ['example.com']);
my %snippets = map { m{([^/]+)$} ? ("snippets/$1" => Weir::slurp($_)) : () } glob '/etc/nginx/snippets/*';
s{/etc/ssl/(certs|private)/ssl-cert-snakeoil\.(pem|key)}{$pem->file("server.$2")}ge, s{include fastcgi\.conf}{include /etc/nginx/fastcgi.conf} for values %snippets;

for my $site (@sites) {
    my ($name, $missing, $text) = @$site;
  SKIP: {
        $w = Weir->new(conf => "events { worker_connections 768; }\nhttp {\n    include /etc/nginx/mime.types;\n    default_type application/octet-stream;\n$text}\n",
            files => { 'html/index.html' => "index\n", htpasswd => "a:{PLAIN}a\n", %snippets });
        my ($code, $said) = $w->t_binary;
        if ($missing && !$known{$missing}) {      # what is missing is named, and nothing else
            my ($family) = $missing =~ /^([a-z]+_)/;
            like($said, qr/\[emerg\].*unknown directive "$family\w+" in \S+:\d+/, "$name: names what is missing");
            is(scalar(() = $said =~ /\[emerg\]/g), 1, "$name: nothing else");
            skip("$name: $missing is not there yet", 1);
        }
        is($code, 0, "$name: -t") or diag $said;
        next unless $name eq 'TLS';
        $w->start;
        is($w->get('/x?y', headers => [Host => 'example.com'])->header('Location'), 'https://example.com/x?y', 'TLS: to https');
        my $m = $w->connect(port => 1, ssl => { SSL_hostname => 'example.com', SSL_ca_file => $pem->file('ca.pem'), SSL_verify_mode => 1 })->get('/');
        is($m->body, "index\n", 'TLS: the page');
        is($m->header('Strict-Transport-Security'), 'max-age=63072000', 'TLS: the header');
    }
}
done_testing;
