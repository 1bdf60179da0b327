# What is wrong with a configuration of http is said in nginx's words.
use lib 't/lib';
use Weir;
use File::Path qw(make_path);

my $dir = Weir::scratch();
make_path("$dir/$_") for qw(logs conf);
my $weir = Cwd::abs_path($ENV{WEIR_BINARY} // 'objs/weir');
# The first line of -t that is not "is ok", without the program's name and what weir adds in parentheses.
sub said {
    my ($binary, $text, $name) = @_;
    open my $out, '>', "$dir/conf/x.conf" or die;
    print $out "error_log stderr; pid $dir/logs/pid;\nevents { }\nhttp {\naccess_log off;\n$text\n}\n";
    close $out;
    my @lines = split /\n/, `$binary -t -p $dir/ -e stderr -c $dir/conf/x.conf 2>&1`;
    my ($line) = grep { /\[(emerg|alert|warn)\]/ && !/\[warn\] [a-z]+(-[a-z]+)+: / } @lines;     # lint is for lint.t
    return 'ok' unless defined $line;
    $line =~ s/^(\S+ \S+ )?(nginx: |weir: )?(\[\w+\]) (\d+#\d+: )?/$3 /;
    $line =~ s/ \((did you mean|it belongs).*?\)(?= in )//;
    return $line;
}
my @cases = (
    'server { listen 25600; listen 25600; }', 'server { listen 25600; listen *:25600; }', 'server { listen 25600 default_server; } server { listen 25600 default_server; }',
    'server { listen 25600 backlog=10; } server { listen 25600 rcvbuf=8k; }', 'server { listen 25600 backlog=10; } server { listen 25600; }', 'server { listen 25600 backlog=0; }', 'server { listen 25600 backlog=x; }',
    'server { listen 25600 rcvbuf=x; }', 'server { listen 25600 sndbuf=x; }', 'server { listen 25600 fastopen=x; }', 'server { listen 25600 nonsense; }', 'server { listen 25600 ipv6only=on; }', 'server { listen [::1]:25600 ipv6only=maybe; }',
    'server { listen 25600 so_keepalive=on; }', 'server { listen 25600 so_keepalive=30m::10; }', 'server { listen 25600 so_keepalive=::; }', 'server { listen 25600 so_keepalive=a:b:c; }', 'server { listen 25600 so_keepalive=1:2; }',
    'server { listen 0; }', 'server { listen 70000; }', 'server { listen 127.0.0.1:; }', 'server { listen 127.0.0.1:x; }', 'server { listen unix:; }', 'server { listen :25600; }', 'server { listen [::1:25600; }', 'server { listen 127.0.0.1:25600-25602; }',
    'server { listen 127.0.0.1:25602-25600; }', 'server { listen 25600-25601; listen 25601; }', 'server { listen 25600 deferred bind; }', 'server { listen 25600 reuseport; }', 'server { listen 25600 default; }',
    'server { listen; }', 'server { server_name; }', 'server { server_name *; }', 'server { server_name *x.test; }', 'server { server_name a.*.test; }', 'server { server_name .; }', 'server { server_name ~; }', 'server { server_name a..b; }', 'server { server_name a/b; }',
    'server { location / { } location / { } }', 'server { location = /x { } location = /x { } }', 'server { location /x { } location = /x { } }', 'server { location ^~ /x { } location /x { } }', 
    'server { location ~ a { } location ~ a { } }', 'server { location / { location @a { } } }', 'server { location @a { location /b { } } }', 'server { location = /a { location /a/b { } } }', 'server { location /a { location /b { } } }',
    'server { location ~ /a { location /b { } } }', 'server { location /a { location ~ b { } } }', 'server { location * /a { } }', 'server { location ~ ( { } }', 'server { location ~ "a{2" { } }', 'server { location { } }', 'server { location /a /b /c { } }', 'server { location /; }',
    'location / { }', 'listen 80;', 'server { server { } }', 'server { http { } }', 'internal;', 'server { internal; }', 'server { location / { internal; internal; } }', 'server { location / { internal on; } }',
    'server { root a; root b; }', 'server { location / { root a; alias b; } }', 'server { location / { alias b; root a; } }', 'server { alias b; }', 'server { location @a { alias b; } }', 'server { root $document_root/x; }', 'server { root $nosuch; }',
    'server { location / { alias $realpath_root; } }', 'error_page 404;', 'error_page 299 /x;', 'error_page 600 /x;', 'error_page x /x;', 'error_page 499 /x;', 'error_page 404 =x /x;', 'error_page 404 = /x;', 'error_page 404 500 =200 /x$y;',
    'keepalive_disable none msie6;', 'keepalive_disable ie;', 'keepalive_disable msie6 msie6;', 'keepalive_timeout x;', 'keepalive_timeout 1 x;', 'keepalive_timeout 1 2 3;', 'client_max_body_size x;', 'client_max_body_size -1;',
    'large_client_header_buffers 4;', 'large_client_header_buffers 0 8k;', 'large_client_header_buffers 4 x;', 'satisfy none;', 'server_tokens on off;', 'lingering_close maybe;', 'if_modified_since maybe;', 'client_body_temp_path x 4;', 'client_body_temp_path x 1 2 3 4;',
    'server { location / { limit_except { } } }', 'server { location / { limit_except FOO { } } }', 'error_page =200 /x /y;', 'server { location / { limit_except get { } } }', 'server { limit_except GET { } }', 'server { location / { limit_except GET { } limit_except POST { } } }',
    'try_files a b;', 'server { try_files a; }', 'server { try_files a =x; }', 'server { try_files a =404; try_files b =404; }', 'types { text/html html; text/plain html; }', 'types { text/html html }', 'types { a { } }',
    'server { root html; types { } types { } }', 'sendfile maybe;', 'client_header_timeout 1x;', 'max_ranges x;', 'default_type a b;', 'default_type a; default_type b;', 'index;', 'index a b /c;', 'server { index a; index b; }',
    'absolute_redirect on; absolute_redirect on;', 'nosuchthing on;', 'server { listen 25600; } }',
);
for my $text (@cases) {
    my ($n, $w) = map { said($_, $text) } $Weir::nginx, $weir;
    s/\Q$dir\E/DIR/g for $n, $w;
    # weir names word, directive and place in all of these; nginx one or two of them
    s/"\w+" directive invalid (value|number) in|invalid (value|number) "[^"]*" (in "\w+" directive )?in/"invalid " . ($1 \/\/ $2) . ' in'/e for $n, $w;
    s/^(\[emerg\] unknown "\w+" variable) in .*/$1/ for $n, $w;      # nginx does not know where it was
    is($w, $n, $text);
}
unlink glob "$dir/*_temp/*";
done_testing;
