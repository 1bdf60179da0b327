# Lint: what "weir -t" says of configurations that are right and still traps. Each kind has ones that trigger it, with the
# line that it is said of, and ones that do not; then silencing, --strict, and sites in which nothing may be found.
use lib 't/lib';
use Weir;
use Cwd qw(abs_path);
use File::Path qw(make_path);

my $weir = abs_path($ENV{WEIR_BINARY} // 'objs/weir');
plan(skip_all => 'weir is not built') unless $weir && -x $weir;
my $dir = Weir::scratch() . '/lint';
make_path("$dir/logs", "$dir/conf");

sub put { my ($name, $text) = @_; open my $out, '>', "$dir/$name" or die "$name: $!"; print $out $text; close $out or die }

# (exit code, what it said)
sub run {
    my $pid = open(my $in, '-|') // die "fork: $!";
    if (!$pid) {
        $ENV{ASAN_OPTIONS} = join ':', grep { length } $ENV{ASAN_OPTIONS}, 'detect_leaks=0';
        open STDERR, '>&', \*STDOUT;
        exec $weir, @_ or POSIX::_exit(127);
    }
    local $/;
    my $said = <$in> // '';
    close $in;
    return ($? >> 8, $said);
}

sub test {
    my ($conf, @more) = @_;
    put('lint.conf', $conf);
    return run('-t', '-p', $dir, '-e', 'stderr', '-c', 'lint.conf', @more);
}

# "id line" of each finding
sub findings {
    my ($code, $said) = @_;
    diag($said) if $code;
    return map { /\[warn\] ([a-z-]+): .* in \S+?lint\.conf:(\d+)$/ ? "$1 $2" : () } split /\n/, $said;
}

my $top = "events { } pid $dir/x.pid; error_log stderr;\n";
sub in_http { return test("${top}http { access_log off;\n$_[0]\n}\n", @_[1 .. $#_]) }           # what is given begins on line 3
sub in_server { return in_http("server { listen 127.0.0.1:8099;\n$_[0]\n}", @_[1 .. $#_]) }     # … on line 4

# kind, where, configuration, lines it is said of
my @cases = (
    ['alias-traversal', 's', 'location /img { alias /data/img/; }', 4],
    ['alias-traversal', 's', "location ^~ /img {\n alias /data/img/; }", 5],
    ['alias-traversal', 's', 'location /img/ { alias /data/img/; } location = /a { alias /data/; } location /b { alias /data/b; } location ~ ^/i(.*)$ { alias /data/$1; }'],
    ['alias-slash', 's', 'location /img/ { alias /data/img; }', 4],
    ['alias-slash', 's', 'location /img/ { root /data/img; }'],
    ['if-in-location', 's', "location / { if (\$arg_a) {\n set \$x 1;\n root /x; } }", 6],
    ['if-in-location', 's', 'location / { if ($arg_a) { set $x 1; break; } if ($arg_b) { rewrite ^ /x last; } if ($arg_c) { return 404; } }'],
    ['if-in-location', 's', 'if ($arg_a) { set $x 1; }'],
    ['regex-unanchored', 's', 'location ~ \.php { root /x; }', 4],
    ['regex-unanchored', 's', 'location ~* ^/a|/b { root /x; }', 4],
    ['regex-unanchored', 's', 'location ~ \.php$ { root /x; } location ~ ^/a { root /y; } location ~* \.(gif|jpg)(\?.*)?$ { root /x; } location ~ (?:^/a|^/b) { root /z; } location ~ /\. { deny all; } location ~ /x { return 404; }'],
    ['location-unreachable', 's', "location / { root /x; }\nlocation \@gone { root /x; }", 5],
    ['location-unreachable', 's', 'location / { try_files $uri @app; } location @app { root /x; } error_page 404 @missing; location @missing { return 200; }'],
    ['location-unreachable', 's', "location ~ ^/a\$ { root /x; }\nlocation ~ ^/a\$ { root /y; }", 5],
    ['location-unreachable', 's', "location ~ ^/a\$ { root /x; }\nlocation ~* ^/a\$ { root /y; }"],
    ['location-unreachable', 's', "location ~ ^/ { root /x; }\nlocation ~ ^/a { root /y; }\nlocation /b { root /y; }\nlocation ^~ /c { root /y; }\nlocation = /d { root /y; }", 5, 6],
    ['location-unreachable', 's', "return 301 https://x.test/;\nlocation /.well-known/ { root /x; }", 5],
    ['location-unreachable', 's', "if (\$arg_x) { return 301 https://x.test/; }\nlocation /.well-known/ { root /x; }"],
    ['location-unreachable', 's', "location api { root /x; }\nlocation /a?b=1 { root /x; }\nlocation /a%20b { root /x; }\nlocation //x { root /x; }", 4, 5, 6, 7],
    ['location-unreachable', 's', 'merge_slashes off; location //x { root /x; } location "/a b" { root /x; } location /100% { root /x; }'],
    ['server-name-twice', 'h', "server { listen 127.0.0.1:8099 default_server; server_name a.test; }\nserver { listen 127.0.0.1:8099;\n server_name b.test A.test; }", 5],
    ['server-name-twice', 'h', "server { listen 127.0.0.1:8099; server_name a.test; }\nserver { listen 127.0.0.1:8098; server_name a.test; }"],
    ['default-server', 'h', "server {\n listen 127.0.0.1:8099; server_name a.test; }\nserver { listen 127.0.0.1:8099; server_name b.test; }", 4],
    ['default-server', 'h', "server { listen 127.0.0.1:8099; server_name a.test; }\nserver { listen 127.0.0.1:8099 default_server; server_name b.test; }"],
    ['default-server', 'h', 'server { listen 127.0.0.1:8099; server_name a.test; }'],
    ['header-dropped', 's', "add_header X-A a; add_header X-B b;\nlocation / { add_header X-C c;\n add_header X-D d; }", 5],
    ['header-dropped', 's', "add_header X-A a;\nlocation / { add_header X-C c;\n add_header x-a d; }"],
    ['header-dropped', 's', "add_header X-A a;\nlocation / { add_header_inherit merge; add_header X-C c; }"],
    ['header-dropped', 's', "proxy_set_header X-A a;\nlocation / { proxy_set_header Host \$host; proxy_pass http://127.0.0.1:81; }", 5],
    ['header-dropped', 's', "location / { add_header X-A a; } location /x { add_header X-B b; }"],
    ['header-splitting', 's', 'location / { return 301 https://$host$uri; }', 4],
    ['header-splitting', 's', 'location / { return https://x.test$document_uri; }', 4],
    ['header-splitting', 's', 'location / { rewrite ^ https://x.test${uri}x permanent; }', 4],
    ['header-splitting', 's', "location / { add_header X-U \$uri;\n proxy_set_header X-U \$uri; }", 4, 5],
    ['header-splitting', 's', 'location ~ ^/v/([^/]*) { return 302 https://x.test/$1; }', 4],
    ['header-splitting', 's', 'location ~ ^/v/(?<what>[^/]*) { return 302 https://x.test/$what; }', 4],
    ['header-splitting', 's', 'location / { if ($uri ~ "^/([^a])") { return 302 https://x.test/$1; } }', 4],
    ['header-splitting', 's', 'location / { return 301 https://$host$request_uri; } location /b { return 200 $uri; } location ~ ^/v/(.*)$ { return 302 /w/$1; } location ~ ^/w/([^/\s]*)$ { return 302 /v/$1; }'],
    ['header-splitting', 's', 'location / { if ($request_uri ~ ^/([^/]*)) { return 302 https://x.test/$1; } rewrite ^/([^/]*)$ https://x.test/$1 redirect; }'],
    ['proxy-open', 's', 'location / { proxy_pass http://$host; }', 4],
    ['proxy-open', 's', 'location / { proxy_pass $arg_url; }', 4],
    ['proxy-open', 's', 'location ~ ^/p/(.*)$ { proxy_pass http://$1; }', 4],
    ['proxy-open', 's', "set \$to \$http_x_to;\nlocation / { proxy_pass http://\$to; }", 5],
    ['proxy-open', 's', 'location / { set $to 127.0.0.1:81; proxy_pass http://$to; } location /u { proxy_pass http://127.0.0.1:81$request_uri; } location /a { proxy_pass http://127.0.0.1:81/$arg_x; }'],
    ['proxy-open', 's', 'location ~ ^/(a|b)/ { proxy_pass http://$1:81; } location /i { internal; proxy_pass http://$arg_x; }'],
    ['proxy-host', 's', 'location / { proxy_set_header Host $http_host; proxy_pass http://127.0.0.1:81; }', 4],
    ['proxy-host', 's', 'location / { proxy_set_header Host $host; proxy_set_header X-Host $http_host; proxy_pass http://127.0.0.1:81; }'],
    ['proxy-pass-slash', 's', 'location /app { proxy_pass http://127.0.0.1:81/; }', 4],
    ['proxy-pass-slash', 's', 'location /app/ { proxy_pass http://127.0.0.1:81/app; }', 4],
    ['proxy-pass-slash', 's', 'location /app/ { proxy_pass http://127.0.0.1:81/; } location /b { proxy_pass http://127.0.0.1:81; } location /c { proxy_pass http://127.0.0.1:81/c; } location = /d { proxy_pass http://127.0.0.1:81/; }'],
    ['allow-without-deny', 's', "location / {\n allow 10.0.0.0/8; allow 127.0.0.1; }", 5],
    ['allow-without-deny', 's', 'deny all; location / { allow 10.0.0.0/8; deny all; } location /x { allow all; }'],
    ['return-before-access', 's', "location / { deny all;\n return 200 secret; }", 5],
    ['return-before-access', 's', "location / { auth_basic x; auth_basic_user_file /x;\n return 301 /y; }", 5],
    ['return-before-access', 's', 'location / { deny all; return 404; } location /x { auth_basic off; return 200; } location /y { return 200; }'],
    ['realip-from-all', 's', "set_real_ip_from 10.0.0.0/8;\nset_real_ip_from 0.0.0.0/0; set_real_ip_from ::/0;", 5, 5],
    ['realip-from-all', 's', 'set_real_ip_from 10.0.0.0/8;'],
    ['log-json-escape', 'h', "log_format j '{ \"a\": \"\$uri\" }';", 3],
    ['log-json-escape', 'h', "log_format j escape=json '{ \"a\": \"\$uri\" }'; log_format p '\$uri';"],
    ['upstream-unverified', 's', "location / {\n proxy_pass https://127.0.0.1:81; }", 5],
    ['upstream-unverified', 's', "proxy_ssl_verify on; proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;\nlocation / { proxy_ssl_verify off; if (\$arg_a) { proxy_pass https://\$server_addr:81; } }", 5],
    ['upstream-unverified', 's', 'location / { proxy_pass http://127.0.0.1:81; } location /b { if ($arg_a) { return 404; } }'],
    ['worker-connections', 't', "worker_rlimit_nofile 100; events {\n worker_connections 200; }", 2],
    ['worker-connections', 't', "worker_rlimit_nofile 400; events {\n worker_connections 200; }"],
);

my %seen;
for my $case (@cases) {
    my ($kind, $where, $conf, @lines) = @$case;
    my @result = $where eq 's' ? in_server($conf) : $where eq 'h' ? in_http($conf) : test("$conf pid $dir/x.pid; error_log stderr;\n");
    is($result[0], 0, 'is accepted') or diag($conf);
    is_deeply([grep { /^\Q$kind\E / } findings(@result)], [map { "$kind $_" } @lines], $kind . (@lines ? '' : ', not') . ": $conf") or diag($result[1]);
    push @{ $seen{$kind}[@lines ? 1 : 0] }, $conf;
}

# ---- the identifiers explain themselves

{
    my ($code, $list) = run('-h', 'lint');
    is($code, 0, '-h lint');
    my @ids = map { /^(\S+)\t[^\t]+\.\t[^\t]+\.$/ ? $1 : () } split /\n/, $list;
    is(scalar @ids, scalar(() = $list =~ /\n/g), 'three columns each');
    is_deeply([sort @ids], [sort keys %seen], 'each kind is tried here');
    ok($seen{$_}[0] && $seen{$_}[1], "$_: both ways") for @ids;
    for my $id (@ids) {
        my ($rc, $text) = run('-h', $id);
        is($rc, 0, "-h $id");
        like($text, qr/\ALint:     \Q$id\E\nWhy:      \S.*\nInstead:  \S.*\nSilence:  # lint: off \Q$id\E\n/s, 'why, what instead, how to silence');
    }
}

# ---- what a line says

{
    my ($code, $said) = in_server('location /img { alias /data/img/; }');
    like($said, qr{^weir: \[warn\] alias-traversal: "/img\.\./x" leads out of "/data/img/"; write "location /img/" in \Q$dir\E/lint\.conf:4$}m, 'what, and what instead');
    like($said, qr/lint: 1 finding; /, 'and what to do about it');
    ($code, $said) = in_server(join "\n", map { "location /img$_ { alias /data/img/; }" } 1 .. 60);
    is(scalar(() = $said =~ /alias-traversal: "/g), 50, 'not the same for ever');
    like($said, qr/alias-traversal: 10 more of these/, 'but how many more');
}

# ---- silence

my $two = sub { my ($before, $behind) = @_; return "location / {$before\n alias /x; return 301 https://x.test\$uri;$behind\n }" };
is_deeply([sort(findings(in_server($two->('', ''))))], ['alias-slash 5', 'header-splitting 5'], 'two on a line');
for my $case (
    [' # lint: off alias-slash', '', 'header-splitting'], ['', ' # lint: off alias-slash', 'header-splitting'], ["\n#lint: off", '' ], ['', '# lint: off'],
    ['', ' # lint: off alias-slash header-splitting'], ['', ' # lint: off alias-slash, header-splitting'],
    ["\n  # lint: off alias-slash\n\n# another\n  # lint: off header-splitting\n", ''], ['', ' # lint: offal', 'alias-slash', 'header-splitting'],
    ["\n# lint: off proxy-open", '', 'alias-slash', 'header-splitting'],
) {
    my ($before, $behind, @left) = @$case;
    is_deeply([sort map { s/ .*//r } findings(in_server($two->($before, $behind)))], \@left, 'silence: ' . join '|', map { s/\n/\\n/gr } $before, $behind);
}
is_deeply([findings(in_server("# lint: off alias-slash\nlocation /a/ { alias /x; }\nlocation /b/ { alias /x; }"))], ['alias-slash 6'], 'silent inside the block, and only there');
is_deeply([findings(test("${top}# lint: off\nhttp { server { listen 127.0.0.1:8099; location /b/ { alias /x; } } }"))], [], 'silent in all of http');

# ---- --strict

is((in_server('location /a/ { alias /x; }', '--strict'))[0], 1, '--strict fails');
is((in_server('location /a/ { alias /x; } # lint: off', '--strict'))[0], 0, 'not on what is silent');
is((in_server('location /a/ { alias /x/; }', '--strict'))[0], 0, 'not on a good one');
is((in_server('location /a/ { alias /x; }'))[0], 0, 'without it, findings do not fail');
unlike((in_server('location /a/ { alias /x; }', '-q'))[1], qr/finding/, '-q: no sum');

# ---- good sites

my @good;
for my $file (grep { !m{/fastcgi\.conf$} } glob "$Weir::top/conf/*.conf") {
    put('conf/' . ($file =~ m{([^/]+)$})[0], Weir::slurp($file));
    push @good, 'conf/' . ($file =~ m{([^/]+)$})[0];
}
put('conf/mime.types', Weir::slurp("$Weir::top/conf/mime.types"));
put('conf/debian.conf', <<"EOC");
worker_processes auto;
pid $dir/nginx.pid;
events { worker_connections 768; }
http {
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    include mime.types;
    default_type application/octet-stream;
    access_log $dir/access.log;
    error_log $dir/error.log;
    gzip on;
    server {
        listen 127.0.0.1:8080 default_server;
        root /var/www/html;
        index index.html index.htm index.nginx-debian.html;
        server_name _;
        location / { try_files \$uri \$uri/ =404; }
        #location ~ \\.php\$ { }
        location ~ /\\.ht { deny all; }
    }
}
EOC
put('conf/proxy.conf', <<"EOC");
events { }
pid $dir/nginx.pid;
http {
    upstream app { server 127.0.0.1:8081; server 127.0.0.1:8082 backup; keepalive 16; }
    map \$http_upgrade \$connection_upgrade { default upgrade; '' close; }
    server { listen 127.0.0.1:8080 default_server; return 444; }
    server {
        listen 127.0.0.1:8080;
        server_name www.site.test;
        return 301 \$scheme://site.test\$request_uri;
    }
    server {
        listen 127.0.0.1:8080;
        server_name site.test;
        proxy_set_header Host \$host;
        proxy_set_header X-Real-IP \$remote_addr;
        proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
        location / { proxy_pass http://app; }
        location /api/ { proxy_pass http://app/v1/; }
        location /admin/ { allow 10.0.0.0/8; deny all; proxy_pass http://app; }
        location ^~ /static/ { alias /srv/static/; expires 30d; }
        location ~* \\.(?:css|js|png)\$ { root /srv; access_log off; add_header Cache-Control public; }
        location = /robots.txt { return 200 "User-agent: *\\n"; }
        location /ws { proxy_http_version 1.1; proxy_pass http://app; proxy_set_header Upgrade \$http_upgrade; proxy_set_header Connection \$connection_upgrade;
            proxy_set_header Host \$host; proxy_set_header X-Real-IP \$remote_addr; proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for; }
        error_page 500 502 503 504 /50x.html;
        location = /50x.html { root /srv; }
    }
}
EOC
for my $file (@good, 'conf/debian.conf', 'conf/proxy.conf') {
    my ($code, $said) = run('-t', '--strict', '-p', $dir, '-e', 'stderr', '-c', $file, '-g', "worker_rlimit_nofile 65536;");
    is($code, 0, "$file: nothing to find") or diag($said);
}

done_testing;
