# Sites made at random of locations, rewrites, ifs, error pages, try_files and the like: each request gets what nginx gives it. Always the same ones: WEIR_SEED, WEIR_SITES make others.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $state = $ENV{WEIR_SEED} // 1;
my $sites = $ENV{WEIR_SITES} // 40;
sub roll { my $n = shift; $state = ($state * 1103515245 + 12345) & 0x7fffffff; return ($state >> 8) % $n }
sub pick { return $_[roll(scalar @_)] }
sub some { my ($n, $make) = @_; return map { $make->() } 1 .. roll($n + 1) }

my @paths = qw(/ /a /a/ /a/b /a/b/ /b /b/c /c/d.txt /d.txt /d/ /e/ /e);
sub path { return pick(@paths) }
sub text { return pick('$uri', '$args', '$1', '$x', '$request_uri', '$arg_q', '$document_uri', '$is_args$args', '$uri|$x', 'T' . roll(100)) }
sub regex { return pick('^/a(.*)$', '^/(.)/(.*)$', '/b', '\.txt$', '^/(?<n>[a-e])', '^(.*)/$', 'd', '^/([^/]+)/?(.*)$', '.', '^/x') }
sub target { return pick('/b$1', '/$1', '/c/d.txt', '/a/$2', '/e/?q=1', '/e/?', '/new$uri', '/d.txt', '/a/b/', '/b?x=$1&y', '/%20$1', '$uri') }
my $named = 0;
my @open;           # names that exist in this server
sub condition { return pick('$arg_q', '$arg_q = 1', '$arg_q != 1', '$uri ~ ' . regex(), '$uri !~ ' . regex(), '$request_method = POST', '$request_uri ~* A', '-f $request_filename', '!-f $request_filename', '-d $request_filename', '-e $document_root/a', '$x', '$x = 1', '$http_x_h ~ ^(.+)$', '$is_args') }
sub rewriting {     # what may stand in an if, too
    return pick(
        sub { 'rewrite ' . regex() . ' ' . target() . pick('', ' last', ' break', ' redirect', ' permanent') . ';' },
        sub { 'set $x "' . text() . '";' }, sub { 'set $y $1;' },
        sub { 'return ' . pick('200 "r ' . text() . '"', 301 . ' /to' . text(), 404, 403, 204, '418 "' . text() . '"', '302 "http://o.test/' . text() . '"', 500, 410) . ';' },
        sub { 'break;' },
    )->();
}
sub setting {
    return pick(
        sub { 'root %%TESTDIR%%/' . pick(qw(html html2 html3)) . ';' },
        sub { 'index ' . pick('i.txt', 'none i.txt', 'none /d.txt', 'i.txt /b/c', 'none') . ';' },
        sub { 'error_page ' . pick(404, '403 404', 418, '404 500', 410) . ' ' . pick('', '= ', '=200 ', '=210 ') . pick(path(), '/err', '/err?e=1', @open ? pick(@open) : '/err', 'http://x.test/e') . ';' },
        sub { 'add_header X-' . pick(qw(A B C)) . ' "' . text() . '"' . pick('', ' always') . ';' },
        sub { 'default_type ' . pick('text/plain', 'a/b', 'text/html') . ';' },
        sub { 'recursive_error_pages on;' }, sub { 'absolute_redirect off;' }, sub { 'autoindex on; autoindex_format json;' }, sub { 'etag off;' }, sub { 'internal;' }, sub { pick('deny all;', 'allow all;') }, sub { 'limit_except ' . pick('GET', 'POST') . ' { deny all; }' },
        sub { 'expires epoch;' }, sub { 'log_not_found off;' }, sub { 'satisfy any;' }, sub { 'proxy_intercept_errors on;' }, sub { 'proxy_redirect ' . pick('off', 'http://h.test/ /pr/', '~^http://[^/]*(.*)$ http://r.test$1') . ';' }, sub { 'proxy_method POST;' },
    )->();
}
sub once {      # each kind of line at most once where it must be so
    my %seen;
    return grep { my $name = /^(\w+)/ ? $1 : ''; $name =~ /^(?:error_page|add_header|rewrite|set|return|break|if|allow|deny|location)$/ || !$seen{$name}++ } @_;
}
sub iffing { my $server = shift; return 'if (' . condition() . ') { ' . join(' ', once(rewriting(), some(1, \&rewriting), $server || roll(3) ? () : pick('root %%TESTDIR%%/html2;', 'add_header X-I "' . text() . '";', 'error_page 404 =211 /err;', 'expires epoch;'))) . ' }' }
sub body {
    my ($depth, $name) = @_;
    my @lines = (some(2, \&setting), some(2, \&rewriting), some(2, \&iffing));
    push @lines, 'try_files ' . join(' ', map({ pick('$uri', '$uri/', '/d.txt', '/b$uri', '/none') } 0 .. roll(2)), pick('=404', '=410', path(), '/err?t=$uri', @open ? pick(@open) : '/err')) . ';' if !roll(5);
    push @lines, pick('alias %%TESTDIR%%/html' . pick('/', '2/', '/a/', '3/a/b/') . ';') if $name =~ m{^[^@~]*/} && !roll(5) && !grep { /\broot |try_files/ } @lines;
    push @lines, 'proxy_pass http://127.0.0.1:%%PORT_1%%' . ($name =~ /^[@~]/ ? pick('', '$uri', '$request_uri') : pick('', '', '/', '/base', '/base/', '/x?y', '$uri', '/v$request_uri')) . ';' if !roll(6);
    if ($depth && $name !~ /^[@=]/ && !roll(3)) { push @lines, location($depth - 1, $name) for 0 .. roll(2) }
    return join ' ', once(@lines);
}
my %taken;
sub location {
    my ($depth, $within) = @_;
    my $base = $within && $within =~ m{^(?:\^~ )?(/\S*)$} ? $1 : '';
    my $kind = $within && $within =~ /^~/ ? pick('~ ', '~* ') : pick('', '', '', '= ', '^~ ', '~ ', '~* ');
    my $name = $kind =~ /~ $|~\* $/ && $kind ne '^~ ' ? $kind . regex() : $kind . ($base eq '' ? path() : $base . pick('', '/', 'b', 'b/c', 'x') =~ s{//}{/}gr);
    my $key = join ' ', $within // '', $name =~ s/^\^~ //r;
    return '' if $taken{$key}++;
    return "location $name { " . body($depth, $name) . " }";
}
my @files = map { my $h = $_; map { "$h/$_" } qw(a/i.txt a/b/i.txt b/c d.txt c/d.txt e/i.txt i.txt err n/x) } qw(html html2 html3);
my $conf = "events { }\nhttp {\n    types { text/plain txt; text/html html; }\n    root %%TESTDIR%%/html;\n    index i.txt;\n    proxy_http_version 1.1;\n    proxy_set_header Connection '';\n    proxy_set_header Host h.test;\n";
for my $site (1 .. $sites) {
    %taken = ();
    @open = ('@one', '@two');
    my @all = (map({ location(2) } 0 .. 2 + roll(5)), map { "location $_ { " . body(0, $_) . ' }' } @open);
    $conf .= "    server { listen 127.0.0.1:%%PORT_0%%; server_name s$site.test; " . join(' ', once(grep({ !/^(?:internal|limit_except)/ } some(1, \&setting)), some(1, \&rewriting), some(1, sub { iffing(1) }))) . "\n        set \$x \"\"; set \$y \"\";\n        " . join("\n        ", grep { length } @all) . "\n        location = /err { return 200 \"err \$uri|\$args|\$status|\$x|\$y\"; }\n    }\n";
}
$conf .= <<'EOC';
    server { listen 127.0.0.1:%%PORT_1%%; location / { return 200 "up $request_method $request_uri $host"; } location /b { return 404 "up 404"; } location /a/b { return 403; } location /e/ { return 301 /there/$uri; } location = /d.txt { add_header Set-Cookie c=1; return 200 "up d"; } }
}
EOC

my @uris = map { my $p = $_; ($p, "$p?q=1", "$p?z") } @paths, '/a/i.txt', '/a/b/c', '/none', '/b/', '/n/x', '/d.txt/', '/a//b', '/e/i.txt';
my @all;
for my $site (1 .. $sites) {
    for my $uri (map { pick(@uris) } 1 .. 24) {
        my $method = pick(qw(GET GET GET GET HEAD POST));
        my @fields = ("Host: s$site.test", 'Connection: close', roll(4) ? () : 'X-H: h', $method eq 'POST' ? 'Content-Length: 0' : ());
        my $bytes = "$method $uri HTTP/1.1\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n";
        push @all, "s$site $method $uri" . ($bytes =~ /X-H/ ? ' h' : '') . ' ' . @all / 2 => sub {
            my $m = shift->raw($bytes) or return undef;
            @{ $m->{headers} } = grep { lc $_->[0] ne 'content-length' } @{ $m->{headers} } if $method eq 'HEAD';
            return $m;
        };
    }
}
my ($n) = Weir->compare($conf, \@all, files => { map { ($_ => "$_\n") } @files });
$n->expect_log(qr/"alias" cannot be used in location/);
done_testing;
