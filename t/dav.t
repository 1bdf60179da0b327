# PUT, DELETE, MKCOL, COPY and MOVE, as nginx has them; what is on the disk afterwards is compared too.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $conf = <<'EOC';
events { }
http {
    client_body_buffer_size 1k;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name h.test;
        root %%TESTDIR%%/html;
        location / { dav_methods PUT DELETE MKCOL COPY MOVE; }
        location /full/ { dav_methods PUT MOVE COPY; create_full_put_path on; dav_access group:rw all:r; }
        location /deep/ { dav_methods DELETE; min_delete_depth 3; }
        location /al/ { alias %%TESTDIR%%/html/aliased/; dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; }
        location /closed/ { dav_methods off; }
        location /put/ { dav_methods PUT; }
        location /small/ { dav_methods PUT; client_max_body_size 10; }
        location /links/ { dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; disable_symlinks on from=$document_root; }
    }
}
EOC
my %files = map { ("html/$_" => "$_\n") } qw(a b c d/x d/y d/e/z full/f deep/a deep/b/c deep/b/d/e aliased/q closed/x put/p keep/k m/1 m/2/3 n/o p q r s t u v w x1 x2 x3 links/l mode del/e/t);

sub ask {
    my ($method, $uri, $fields, $body) = @_;
    my $text = "$method $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @{ $fields // [] });
    $text .= 'Content-Length: ' . length($body) . "\r\n" if defined $body && $text !~ /^transfer-encoding/mi;
    return ("$method $uri " . join(', ', @{ $fields // [] }) . ' ' . substr($body // '', 0, 10) => "$text\r\n" . ($body // ''));
}
# What is there: names, permissions, sizes, times if they are not of now, contents.
sub tree {
    my $w = shift;
    my $now = time;
    my $all = '';
    for my $f (sort split /\0/, `cd $w->{dir}/html && find . -print0`) {
        next if $f eq './nolength';
        my @st = lstat "$w->{dir}/html/$f";
        my $time = abs($st[9] - $now) < 1000 ? 'now' : $st[9];
        $all .= sprintf "%s %o %s", $f, $st[2], -d _ ? '' : "$st[7] $time ";
        $all .= -l _ ? readlink "$w->{dir}/html/$f" : -f _ ? unpack('%32C*', Weir::slurp("$w->{dir}/html/$f")) : '';
        $all .= "\n";
    }
    my @left = glob "$w->{dir}/client_body_temp/*";
    return $all . "temporary files: @left\n";
}
sub to { my ($to, @more) = @_; return ["Destination: $to", @more] }
my $host = 'http://h.test';
my $date = 'Tue, 14 Nov 2023 22:13:20 GMT';

my @w = Weir->compare($conf, [
    ask(PUT => '/new', [], 'new'), ask(PUT => '/new', [], 'newer'), ask(PUT => '/empty', [], ''), ask(PUT => '/nolength', []), ask(PUT => '/big', [], 'b' x 100000), ask(PUT => '/dated', ["Date: $date"], 'x'),
    ask(PUT => '/chunked', ['Transfer-Encoding: chunked'], "5\r\nhello\r\n0\r\n\r\n"), ask(PUT => '/d', [], 'x'), ask(PUT => '/d/', [], 'x'), ask(PUT => '/nodir/x', [], 'x'), ask(PUT => '/a/x', [], 'x'),
    ask(PUT => '/ranged', ['Content-Range: bytes 0-2/5'], 'abc'), ask(PUT => '/sp%20ace%25', [], 'x'), ask(PUT => '/full/1/2/3', [], 'deep'), ask(PUT => '/full/g', [], 'g'), ask(PUT => '/full/f/x', [], 'g'),
    ask(PUT => '/small/x', [], 'x' x 11), ask(PUT => '/closed/x', [], 'x'), ask(PUT => '/put/../e', [], 'x'), ask(PUT => '/al/1/2', [], 'x'), ask(PUT => '/al/', [], 'x'), ask(PUT => '/' . 'l' x 300, [], 'x'), ask(PUT => '/mode', [], 'x'),
    ask(POST => '/a', [], 'x'), ask(GET => '/new'), ask(GET => '/a'), ask(PROPFIND => '/a'), ask(OPTIONS => '/a'), ask(PATCH => '/a', [], 'x'), ask(DELETE => '/put/p'), ask(MKCOL => '/put/z/'),
    ask(MKCOL => '/col/'), ask(MKCOL => '/col/'), ask(MKCOL => '/col2'), ask(MKCOL => '/no/col/'), ask(MKCOL => '/a/'), ask(MKCOL => '/a/b/'), ask(MKCOL => '/body/', [], 'x'), ask(MKCOL => '/al/sub/'), ask(MKCOL => '/s%20p/'),
    ask(DELETE => '/b'), ask(DELETE => '/b'), ask(DELETE => '/d'), ask(DELETE => '/c/'), ask(DELETE => '/c', ['Depth: 1']), ask(DELETE => '/c', ['Depth: 0']), ask(DELETE => '/keep/', ['Depth: 0']), ask(DELETE => '/keep/', ['Depth: x']),
    ask(DELETE => '/del/', ['Depth: infinity']), ask(DELETE => '/nothing/'), ask(DELETE => '/a/x'), ask(DELETE => '/n/o', [], 'body'), ask(DELETE => '/link'), ask(DELETE => '/link-d'),
    ask(DELETE => '/deep/a'), ask(DELETE => '/deep/b/c'), ask(DELETE => '/deep/b/d/e'), ask(DELETE => '/deep/b/'), ask(DELETE => '/deep/b/d/'),
    ask(COPY => '/a'), ask(COPY => '/a', to('/copy1')), ask(COPY => '/a', to("$host/copy2")), ask(COPY => '/a', to("$host:81/copy3")), ask(COPY => '/a', to('http://other.test/copy4')), ask(COPY => '/a', to('https://h.test/copy5')),
    ask(COPY => '/a', to('copy6')), ask(COPY => '/a', to('')), ask(COPY => '/a', to('http://h.test')), ask(COPY => '/a', to('/../copy7')), ask(COPY => '/a', to('/x/../copy8')), ask(COPY => '/a', to('/x/%2e%2e/copy9')), ask(COPY => '/a', to('/..')),
    ask(COPY => '/a', to('/sp%20ace2')), ask(COPY => '/a', to('/args?x=1')), ask(COPY => '/a', to('/d')), ask(COPY => '/a', to('/d/')), ask(COPY => '/a', to('/copy1', 'Overwrite: F')), ask(COPY => '/a', to('/p', 'Overwrite: T')), ask(COPY => '/a', to('/q', 'Overwrite: t')),
    ask(COPY => '/a', to('/r', 'Overwrite: x')), ask(COPY => '/a', to('/new-f', 'Overwrite: f')), ask(COPY => '/a', to('/s', 'Depth: 0')), ask(COPY => '/a', to('/t', 'Depth: 1')), ask(COPY => '/a', to('/u', 'Depth: infinity')), ask(COPY => '/missing', to('/v')),
    ask(COPY => '/a', to('/made/by/copy')), ask(COPY => '/a/', to('/w/')), ask(COPY => '/keep', to('/w')), ask(COPY => '/d/', to('/d2/')), ask(COPY => '/d/', to('/d2/')), ask(COPY => '/d/', to('/d2/', 'Overwrite: F')), ask(COPY => '/d/', to('/no/d3/')), ask(COPY => '/d/', to('/d4')),
    ask(COPY => '/d', to('/d5/')), ask(COPY => '/d/', to('/x1/')), ask(COPY => '/a', to('/z'), 'body'), ask(COPY => '/al/q', to('/al/q2')),
    ask(MOVE => '/x2', to('/moved')), ask(MOVE => '/x3', to('/moved')), ask(MOVE => '/a', to('/moved', 'Overwrite: F')), ask(MOVE => '/m/', to('/m2/')), ask(MOVE => '/missing', to('/z')), ask(MOVE => '/missing/', to('/z/')), ask(MOVE => '/m2/', to('/d2/')),
    ask(MOVE => '/a', to('/z', 'Depth: 0')), ask(MOVE => '/full/g', to('/full/4/5')), ask(MOVE => '/al/q', to('/al/new/q')), ask(MOVE => '/link2', to('/link3')), ask(MOVE => '/n/', to('/no/n/')), ask(MOVE => '/d2/', to('/a')), ask(MOVE => '/d2', to('/d6')),
    ask(PUT => '/links/new', [], 'x'), ask(PUT => '/links/1/2/x', [], 'x'), ask(COPY => '/links/l', to('/links/l2')),
    ask(PUT => '/last', ['Expect: 100-continue'], 'x'),
    ask(GET => '/d2/x'), ask(GET => '/copy1'), ask(GET => '/moved'),
], files => \%files, warm => sub {
    my $h = shift->dir . '/html';
    symlink 'a', "$h/link";
    symlink 'a', "$h/link2";
    symlink 'keep', "$h/link-d";
    chmod 0640, "$h/mode";
    chmod 0600, "$h/d/y";
}, differ => {
    'PUT /nolength  ' => 'a request without Content-Length has an empty body (RFC 9112 6.3)',
    'PUT /full/f/x  g' => 'a file stands in the way: 409',
    'COPY /a Destination: /made/by/copy ' => 'the folder is missing: 409 (RFC 4918 9.8.5)',
    "PUT /nodir/x  x" => 'the folder is missing: 409 (RFC 4918 9.7.1)', "PUT /a/x  x" => 'a file stands in the way: 409',
});
is(tree($w[1]), tree($w[0]), 'the same files afterwards');

# ---- what nginx lets through

for my $aio (qw(off threads)) {
(my $with = $conf) =~ s/^    server \{/    aio $aio;\n    server {/m;
my $ours = Weir->new(conf => $with, files => \%files)->start;
my $status = sub { my (undef, $text) = ask(@_); my $m = $ours->raw($text); return $m ? $m->status : 0 };
my $h = $ours->dir . '/html';
mkdir "$ours->{dir}/outside";
symlink '../../outside', "$h/links/out";
symlink '../outside', "$h/d/out";
is($status->(COPY => '/a', to('/closed/y')), 403, 'COPY to where dav_methods is off');
is($status->(COPY => '/al/q', to('/x')), 403, 'COPY out of an alias');
is($status->(COPY => '/d/', to('/d/sub/')), 403, 'COPY of a folder into itself');
is($status->(COPY => '/d/e/', to('/d/')), 403, 'COPY of a folder over the one it is in');
is($status->(COPY => '/a', to('/a')), 403, 'COPY of a file to itself');
is(Weir::slurp("$h/a"), "a\n", 'it is still there');
is($status->(MOVE => '/d/', to('/d/e/f/')), 403, 'MOVE of a folder into itself');
isnt($status->(PUT => '/links/out/x', [], 'x'), 201, 'PUT by a link, where links are refused');
isnt($status->(MKCOL => '/links/out/x/'), 201, 'MKCOL by a link');
isnt($status->(COPY => '/links/l', to('/links/out/x')), 204, 'COPY by a link');
isnt($status->(MOVE => '/links/l', to('/links/out/x')), 204, 'MOVE by a link');
is(join(' ', glob "$ours->{dir}/outside/*"), '', 'nothing came outside');
$ours->write_file('outside/kept', 'x');
is($status->(DELETE => '/d/'), 204, 'DELETE of a folder with a link in it');
ok(-f "$ours->{dir}/outside/kept", 'what the link leads to is still there');

symlink 'keep', "$h/link-d";
symlink 'c', "$h/link-c";
is($status->(DELETE => '/link-d/'), 409, 'DELETE of a link as if it were the folder');
ok(-f "$h/keep/k", 'what is in the folder is still there');
is($status->(DELETE => '/link-d'), 204, 'DELETE of the link');
ok(-d "$h/keep", 'the folder is still there');
is($status->(COPY => '/link-c', to('/by-link')), 204, 'COPY of what a link leads to');
is(Weir::slurp("$h/by-link"), "c\n", 'all of it');
system 'mkfifo', "$h/fifo";
is($status->(COPY => '/fifo', to('/of-fifo')), 403, 'COPY of what is no file');
mkdir "$h/src";
symlink '../keep', "$h/src/link";
system 'mkfifo', "$h/src/fifo";
is($status->(COPY => '/src/', to('/dst/')), 201, 'COPY of a folder with links and a fifo in it');
is(join(' ', glob "$h/dst/*"), '', 'they are left out');

is($status->(PUT => '/p', ['If-Match: "x"'], 'new'), 412, 'PUT, If-Match does not hold');
is($status->(PUT => '/p', ['If-None-Match: *'], 'new'), 412, 'PUT, there is a file already');
is($status->(PUT => '/p2', ['If-None-Match: *'], 'new'), 201, 'PUT, there was none');
is($status->(PUT => '/p3', ['If-Match: *'], 'new'), 412, 'PUT, none to be replaced');
is($status->(PUT => '/p', ['If-Unmodified-Since: Tue, 14 Nov 2022 22:13:20 GMT'], 'new'), 412, 'PUT, changed since');
is($status->(DELETE => '/p', ['If-Match: "x"']), 412, 'DELETE, If-Match does not hold');
is($status->(DELETE => '/p', ['If-Match: "6553f100-2"']), 204, 'DELETE, it holds');
is(join(' ', glob "$ours->{dir}/client_body_temp/*"), '', 'no temporary file is left');
}
done_testing;
