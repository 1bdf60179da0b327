# "weir -t --explain REQUEST": the decisions about one request, in order, each with the line of its directive.
use lib 't/lib';
use Weir;
use Cwd qw(abs_path);
use File::Path qw(make_path);

my $weir = abs_path($ENV{WEIR_BINARY} // 'objs/weir');
plan(skip_all => 'weir is not built') unless $weir && -x $weir;
my $dir = Weir::scratch() . '/explain';
make_path("$dir/logs", "$dir/html/dir", "$dir/html/empty");
sub put { my ($name, $text) = @_; open my $out, '>', "$dir/$name" or die "$name: $!"; print $out $text; close $out or die }
put("html/$_", "text\n") for qw(index.html a.txt dir/index.html);

sub run {
    my $pid = open(my $in, '-|') // die "fork: $!";
    if (!$pid) {
        $ENV{ASAN_OPTIONS} = join ':', grep { length } $ENV{ASAN_OPTIONS}, 'detect_leaks=0';
        open STDERR, '>&', \*STDOUT;
        exec $weir, '-t', '-q', '-p', $dir, '-e', 'stderr', '-c', 'explain.conf', @_ or POSIX::_exit(127);
    }
    local $/;
    my $said = <$in> // '';
    close $in;
    return ($? >> 8, $said);
}

put('explain.conf', <<"EOC");
events { } pid $dir/pid; error_log stderr crit;
http { # lint: off
    access_log off;
    upstream app { server 127.0.0.1:8081; }
    map \$arg_v \$backend { default app; b 127.0.0.1:8082; }
    limit_req_zone \$remote_addr zone=z:1m rate=1r/s;
    server {
        listen 127.0.0.1:8099 default_server;
        server_name one.test;
        root html;
        rewrite ^/old/(.*)\$ /new/\$1 last;
        location / { try_files \$uri \$uri/ \@app; }
        location \@app { proxy_pass http://app; proxy_set_header Host \$host; proxy_set_header X-Seen \$http_x_a; }
        location /new/ { set \$x \$arg_y; if (\$x = 1) { return 302 /there; } return 200 hello; }
        location = /exact { return 404; }
        location ^~ /api/ { proxy_pass http://app/v1/; }
        location ~ \\.php\$ { proxy_pass http://\$backend; }
        location /priv/ { allow 10.0.0.0/8; deny all; }
        location /int/ { internal; }
        location /loop { rewrite ^ /loop last; }
        location /break/ { rewrite ^/break/(.*)\$ /\$1 break; }
        location /limited { limit_req zone=z; return 200; }
        location /files/ { alias $dir/html/; limit_req zone=z; error_page 404 /sorry; }
        location /sorry { return 503 sorry; }
        location /closed/ { deny all; error_page 403 = \@closed; error_page 404 https://x.test/; }
        location \@closed { return 200 closed; }
        location /moved/ { root /nowhere; error_page 404 =301 https://x.test/; }
        location /agent { if (\$http_user_agent ~ curl) { return 403; } proxy_pass http://127.0.0.1:8083; }
    }
    server { listen 127.0.0.1:8099; server_name two.test *.wild.test ~^re(?<n>\\d)\.test\$; return 301 https://one.test\$request_uri; }
    server { listen 127.0.0.1:8097 ssl; ssl_reject_handshake on; server_name secure.test; if (\$scheme = http) { return 301 https://secure.test/; } location / { return 200 "\$scheme \$https"; } }
    server { listen 127.0.0.1:8098; server_name alone.test; location /gone { return 444; } }
    server { listen 127.0.0.1:8096; merge_slashes off; location //two/ { return 200 "\$uri"; } location / { return 404; } }
}
EOC

# request, more words, then what must be said, in this order
my @cases = (
    ['GET http://one.test:8099/exact', [], qr/^ 1\. listen 127\.0\.0\.1:8099: .*explain\.conf:8\)$/, qr/^ 2\. server "one\.test": it has the name "one\.test".*:7\)$/,
        qr/^ 3\. rewrite: "\^\/old.* does not match "\/exact".*:11\)$/, qr/location = \/exact for .* exactly this uri.*:15\)$/, qr/return 404 .*:15\)$/, qr/answer: 404 Not Found, decided in step rewrite/],
    ['http://two.test:8099/q?w', [], qr/server "two\.test": it has the name/, qr/return 301/, qr/answer: 301/, qr{Location: https://one\.test/q\?w$}],
    ['http://a.wild.test:8099/', [], qr/server "two\.test": it has the name "a\.wild\.test"/],
    ['http://re7.test:8099/', [], qr/server "two\.test": it has the name "re7\.test"/],
    ['http://three.test:8099/exact', [], qr/server "one\.test": none has the name "three\.test", and this one is the default_server/],
    ['http://any.test:8098/gone', [], qr/listen 127\.0\.0\.1:8098/, qr/server "alone\.test": the only one there/, qr/answer: 444/],
    ['http://any.test:8098/', [], qr/no location matches "\/"/, qr/answer: the file "\S*html\/index\.html"|answer: the file/],
    ['/a.txt', [], qr/listen 127\.0\.0\.1:8099: the first one/, qr/try_files: "\Q$dir\E\/html\/a\.txt" is a file.*:12\)$/, qr/answer: the file "\Q$dir\E\/html\/a\.txt", by root.*:10\)$/],
    ['/', [], qr/is a folder/, qr/index: "\S+index\.html" is a file/, qr/internally redirected to "\/index\.html", in step content/, qr/location \/ for "\/index\.html": the longest prefix/, qr/answer: the file "\S+\/index\.html"/],
    ['/dir/', [], qr/internally redirected to "\/dir\/index\.html"/, qr/answer: the file "\S+dir\/index\.html"/],
    ['/none?z=1', ['-H', 'Host: one.test', '-H', 'X-A: b'], qr/try_files: "\S+\/none" is not there/, qr/internally redirected to location \@app, in step precontent .*:13\)$/,
        qr/answer: by proxy_pass to app, uri "\/none\?z=1".*:13\)$/, qr/^ +GET \/none\?z=1 HTTP\/1\.\d$/, qr/^ +Host: one\.test$/, qr/^ +X-Seen: b$/],
    ['/old/a?y=2', [], qr/rewrite: .* matches "\/old\/a".*:11\)$/, qr/the uri is now "\/new\/a", args "y=2", and the location is looked for anew/, qr/location \/new\/ for "\/new\/a"/,
        qr/set: the value is "2"/, qr/if: the condition does not hold/, qr/return 200/, qr/answer: 200 OK/, qr/Content-Length: 5/],
    ['/new/?y=1', [], qr/if: the condition holds/, qr/answer: 302/, qr/Location: \/there/],
    ['/api/x%20y?q=1', [], qr/location \^~ \/api\/ for .* with \^~ no regular expression is asked/, qr/answer: by proxy_pass to app, uri "\/v1\/x%20y\?q=1"/, qr/^ +Host: app$/],
    ['/x.php', [], qr/location ~ \\\.php\$ for .* the first regular expression/, qr/proxy_pass to app, uri "\/x\.php"/],
    ['/x.php?v=b', [], qr/proxy_pass to 127\.0\.0\.1:8082, uri "\/x\.php\?v=b"/],
    ['/priv/x', [], qr/location \/priv\//, qr/answer: 403 Forbidden, decided in step access .*:18\)$/],
    ['/priv/x', ['--from', '10.1.2.3'], qr/location \/priv\//, qr/answer: the file "\S+priv\/x", by root/, qr/which is not there/],
    ['/int/', [], qr/it is internal, and the request is not: 404/, qr/answer: 404 Not Found, decided in step find_location/],
    ['/loop', [], qr/answer: 500 Internal Server Error, decided in step post_rewrite/],
    ['/break/a.txt', [], qr/the uri is now "\/a\.txt", args "", and stays in this location/, qr/answer: the file "\S+html\/a\.txt"/],
    ['/limited', [], qr/return 200/, qr/answer: 200/],
    ['/files/a.txt', [], qr/limit_req is not asked: .*:23\)$/, qr/answer: the file "\Q$dir\E\/html\/a\.txt", by alias.*:23\)$/],
    ['/agent', ['-H', 'User-Agent: curl/8'], qr/if: the condition holds/, qr/answer: 403/],
    ['POST /agent', ['-H', 'User-Agent: x'], qr/if: the condition does not hold/, qr/proxy_pass to 127\.0\.0\.1:8083, uri "\/agent"/, qr/^ +POST \/agent/],
    ['/files/none', [], qr/which is not there/, qr/answer: 404 Not Found, decided in step content/, qr/error_page for 404: "\/sorry" .*:23\)$/, qr/internally redirected to "\/sorry"/, qr/^ *\d+\. location \/sorry/, qr/answer: 404 Not Found, made here/],
    ['/closed/x', [], qr/answer: 403 Forbidden, decided in step access .*:25\)$/, qr/error_page for 403: "\@closed" .*:25\)$/, qr/internally redirected to location \@closed/, qr/answer: 200 OK, made here/],
    ['/moved/x', [], qr/error_page for 404: "https:\/\/x\.test\/" .*:27\)$/, qr/answer: 301 Moved Permanently, made here/, qr/^ +Location: https:\/\/x\.test\/$/],
    ['https://secure.test:8097/x', [], qr/listen 127\.0\.0\.1:8097/, qr/if: the condition does not hold/, qr/answer: 200 OK/, qr/Content-Length: 8$/],
    ['http://any.test:8096//two//x', [], qr/location \/\/two\/ for "\/\/two\/\/x"/, qr/answer: 200 OK/, qr/Content-Length: 8$/],
    ['//a/../a.txt', [], qr/answer: the file "\S+html\/a\.txt"/],
);
for my $case (@cases) {
    my ($asked, $more, @said) = @$case;
    my ($code, $text) = run('--explain', $asked, @$more);
    is($code, 0, "$asked: exit code");
    my @lines = split /\n/, $text;
    my $fine = 1;
    for my $want (@said) {
        shift @lines while @lines && $lines[0] !~ $want;
        next if @lines;
        $fine = 0;
        diag("not said, or not in order: $want\n$text");
        last;
    }
    ok($fine, "$asked @$more: explained");
}

like((run('--explain', 'http://one.test:1/'))[1], qr/--explain: no server listens on this port/, 'no such port');
like((run('--explain', 'GET'))[1], qr/--explain: not a request/, 'not a request');
like((run('--explain', '/', '--from', 'x y'))[1], qr/--explain: not an address/, 'not an address');
is((run('--explain', 'http://one.test:1/'))[0], 1, 'fails');
like((run('--explain'))[1], qr/option "--explain" requires a request/, 'no request');
like((run('--explain', '/', '-H', 'x'))[1], qr/option "-H" requires/, 'no header');

done_testing;
