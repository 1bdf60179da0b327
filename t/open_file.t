# Opening files: disable_symlinks, open_file_cache, aio threads, and what is no regular file.
use lib 't/lib';
use Weir;
use Weir::Compare;

sub get { my ($uri, @fields) = @_; return "GET $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n" }
sub asks { map { ($_ => get($_)) } @_ }

# ---- links

my $links = <<'EOC';
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location /on/ { alias %%TESTDIR%%/html/; disable_symlinks on from=%%TESTDIR%%; try_files $uri =404; }
        location /own/ { alias %%TESTDIR%%/html/; disable_symlinks if_not_owner from=%%TESTDIR%%; }
        location /off/ { alias %%TESTDIR%%/html/; disable_symlinks off; }
        location /part/ { alias %%TESTDIR%%/html/; disable_symlinks on from=%%TESTDIR%%/html/to-d; }
        location /slash/ { alias %%TESTDIR%%/html/; disable_symlinks on from=%%TESTDIR%%/html/to-d/; }
        location /other/ { alias %%TESTDIR%%/html/; disable_symlinks on from=/nowhere; }
        location /var/ { alias %%TESTDIR%%/html/; disable_symlinks if_not_owner from=$document_root; }
        location /none/ { alias %%TESTDIR%%/html/; disable_symlinks on; }
    }
}
EOC

sub make_links {
    my $h = shift->dir . '/html';
    symlink 'd/f', "$h/link";
    symlink 'd', "$h/to-d";
    symlink 'nowhere', "$h/dangling";
    symlink '../link', "$h/d/back";
    symlink 'circle', "$h/circle";
    symlink 'd/f', "$h/strange";
    system 'chown', '-h', '65534:65534', "$h/strange";
    symlink 'd', "$h/strange-d";
    system 'chown', '-h', '65534:65534', "$h/strange-d";
    system 'mkfifo', "$h/fifo";
    symlink '/dev/zero', "$h/zero";
}

my @names = qw(d/f d/ d link to-d/f to-d/ to-d to-d/back dangling circle missing missing/f d/f/x fifo zero strange strange-d/f strange-d);
Weir->compare($links, [map { my $l = $_; asks(map { "/$l/$_" } @names) } qw(on own off part slash other var none)],
    files => { 'html/d/f' => "file\n", 'html/d/index.html' => "index\n" }, warm => \&make_links);

# ---- "if" asks as those that serve files do

my $if = <<'EOC';
events { }
http {
    open_file_cache max=1000; open_file_cache_errors on;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        set $kind '';
        location / { set $p $document_root$uri; include %%TESTDIR%%/if; return 200 $kind; }
        location /on/ { set $p $document_root$arg_p; disable_symlinks on from=%%TESTDIR%%; include %%TESTDIR%%/if; return 200 $kind; }
        location /own/ { set $p $document_root$arg_p; disable_symlinks if_not_owner from=%%TESTDIR%%; include %%TESTDIR%%/if; return 200 $kind; }
        location /fresh/ { set $p $document_root$arg_p; open_file_cache off; include %%TESTDIR%%/if; return 200 $kind; }
        location /dev/ { set $p $uri; include %%TESTDIR%%/if; return 200 $kind; }
    }
}
EOC
my $set = join '', map { "if ($_ \$p) { set \$kind '\$kind$_ '; }\n" } map { ("-$_", "!-$_") } qw(f d e x);
# Makes or removes a file, and asks.
sub changed { my ($uri, $name, $make) = @_; return sub { my $w = shift; my $f = $w->dir . "/html/$name"; if ($make) { $w->write_file("html/$name", 'x') } else { unlink $f } return $w->raw(get($uri)) } }
Weir->compare($if, [
    asks(map({ "/$_" } @names, 'run', 'late', 'only', 'a' x 300), map({ my $l = $_; map { "/$l/?p=/$_" } @names, 'run' } qw(on own fresh)), qw(/dev/null /dev/shm /dev/none)),
    'made: still not there' => changed('/late', 'late', 1), 'without a cache it is' => get('/fresh/?p=/late'),
    'gone: seen, for it is not open' => changed('/d/f', 'd/f', 0), 'a folder is remembered' => sub { my $w = shift; rename $w->dir . '/html/only', $w->dir . '/html/was'; $w->raw(get('/only')) },
], files => { if => $set, 'html/d/f' => "file\n", 'html/only/x' => '', 'html/run' => "#!/bin/sh\n" }, warm => sub { my $w = shift; make_links($w); chmod 0755, $w->dir . '/html/run' });

# ---- a cache

my $cached = <<'EOC';
events { }
http {
    open_file_cache max=4 inactive=10s;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location /errors/ { open_file_cache_errors on; alias %%TESTDIR%%/html/; }
        location /fresh/ { open_file_cache_valid 0; alias %%TESTDIR%%/html/; }
        location /often/ { open_file_cache_min_uses 3; open_file_cache max=10; alias %%TESTDIR%%/html/; }
        location /off/ { open_file_cache off; alias %%TESTDIR%%/html/; }
    }
}
EOC
my %files = map { ("html/$_" => "$_\n") } 'a' .. 'h', 'dd/x';
# Changes a file (or makes or removes it) and says what is served then.
sub after { my ($uri, $name, $bytes) = @_; return sub { my $w = shift; my $f = $w->dir . "/html/$name"; unlink $f; $w->write_file("html/$name", $bytes) if defined $bytes; return $w->raw(get($uri)) } }
Weir->compare($cached, [
    asks('/a', '/b', '/d', '/dd/x', '/missing'),
    'changed: the old one' => after('/a', 'a', "new a\n"),
    'changed, not by the cache' => get('/off/a'),
    'gone: still served' => after('/b', 'b', undef),
    'made: errors are not remembered' => after('/missing', 'missing', "there\n"),
    asks('/errors/late'),
    'made: errors are remembered' => after('/errors/late', 'late', "late\n"),
    'not remembered elsewhere' => get('/late'),
    asks('/fresh/c'),
    'changed: looked at anew' => after('/fresh/c', 'c', "new c\n"),
    asks('/often/e', '/often/e?1'),
    'changed, not kept open yet' => after('/often/e', 'e', "new e\n"),
    asks('/often/e?2', '/often/e?3'),
    'changed, kept open by now' => after('/often/e', 'e', "newer e\n"),
    asks('/a', '/b', '/c', '/d', '/e', '/f', '/g', '/h', '/dd/x'),
    'driven out by others' => after('/b', 'b', "new b\n"),
    'conditions hold in the cache' => get('/f', 'If-None-Match: "6553f100-2"'),
    'ranges too' => get('/f', 'Range: bytes=0-0'),
    'the type of what asks' => get('/off/f'),
], files => \%files);

# ---- in threads: the same answers as without

my $threads = <<'EOC';
thread_pool small threads=1 max_queue=100;
thread_pool default threads=4;
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        aio threads;
        location /small/ { aio threads=small; alias %%TESTDIR%%/html/; }
        location /cache/ { open_file_cache max=10; open_file_cache_errors on; alias %%TESTDIR%%/html/; }
        location /own/ { disable_symlinks if_not_owner from=$document_root; alias %%TESTDIR%%/html/; }
        location /try/ { try_files /none$uri /small$uri /small/dd/ /dd/x =404; }
        location /index/ { index none.html none2.html x; alias %%TESTDIR%%/html/dd/; }
        location /sendfile/ { sendfile on; alias %%TESTDIR%%/html/; }
    }
}
EOC
$files{'html/big'} = join '', map { 'line ' . ($_ % 7) x 3 . "\n" } 1 .. 300000;
Weir->compare($threads, [
    asks(map { my $l = $_; map { "/$l$_" } qw(a b dd dd/ dd/x missing big fifo), 'big?2', 'a?2', 'missing?2' } '', 'small/', 'cache/', 'own/', 'try/', 'index/', 'sendfile/'),
    asks('/own/strange', '/own/link'),
    'a range in the middle' => get('/big', 'Range: bytes=1000000-2000000'),
    'a range at the end' => get('/big', 'Range: bytes=-100000'),
    'the head alone' => "HEAD /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    'not modified' => get('/big', 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'),
], files => \%files, warm => \&make_links);

# ---- what is not in the kernel's memory

my $cold = Weir->new(conf => $threads, files => \%files)->start;
my $file = $cold->dir . '/html/big';
sub evict { system "sync -d $file; dd if=$file iflag=nocache count=0 status=none" }
my $sum = unpack '%32C*', $files{'html/big'};
for my $uri (qw(/big /small/big /cache/big /own/big /sendfile/big)) {
    evict();
    my $m = $cold->get($uri);
    is(unpack('%32C*', $m->body), $sum, "$uri, read from the disk");
}
evict();
my @conns = map { my $c = $cold->connect(rcvbuf => 65536); $c->request(GET => $_ % 2 ? '/big' : '/small/big', headers => ['Range' => "bytes=" . $_ * 100000 . '-']); $c } 0 .. 19;
$conns[$_]->close for 0, 5, 10, 15;
$conns[$_]->reset for 1, 6;
for my $i (grep { $_ % 5 && $_ != 6 && $_ != 1 } 0 .. 19) {
    my $m = $conns[$i]->response;
    is($m ? unpack('%32C*', $m->body) : 'nothing', unpack('%32C*', substr $files{'html/big'}, $i * 100000), "client $i of many");
}
my $pipe = $cold->connect;
$pipe->send(get('/big') =~ s/Connection: close\r\n//r x 3);
is(unpack('%32C*', $pipe->response->body), $sum, 'one of three in a row') for 1 .. 3;
my ($worker) = $cold->workers;
cmp_ok(scalar(glob_count("/proc/$worker/task/*")), '>', 1, 'there are threads');
sub glob_count { my @all = glob shift; return scalar @all }

# ---- past the kernel's memory

my $direct = <<'EOC';
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        directio 100k;
        location /4k/ { directio_alignment 4k; output_buffers 1 10k; alias %%TESTDIR%%/html/; }
        location /threads/ { aio threads; sendfile on; output_buffers 100 1m; alias %%TESTDIR%%/html/; }
        location /off/ { directio off; alias %%TESTDIR%%/html/; }
        location /gzip/ { gzip on; gzip_types *; gzip_min_length 1; alias %%TESTDIR%%/html/; }
    }
}
EOC
my @ranges = ('bytes=0-0', 'bytes=511-512', 'bytes=1000001-2000000', 'bytes=-1', 'bytes=9999999-');
Weir->compare($direct, [
    asks(map { my $l = $_; map { "/$l$_" } qw(a big small) } '', '4k/', 'threads/', 'off/'),
    (map { my $l = $_; map { ("$l $_" => get("/${l}big", "Range: $_")) } @ranges } '', '4k/', 'threads/'),
    'the head alone' => "HEAD /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
], files => { %files, 'html/small' => 'x' x 102399 });
my $d = Weir->new(conf => $direct, files => \%files)->start;
$file = $d->dir . '/html/big';
SKIP: {
    evict();
    my $cached = sub { return `fincore -bnr -o PAGES $file 2>/dev/null` };
    skip 'what is in the kernel\'s memory is not to be seen here', 1 if ($cached->() // '') !~ /^0/;
    for my $uri (qw(/big /4k/big /threads/big)) {
        is(unpack('%32C*', $d->get($uri)->body), $sum, "$uri, past the kernel's memory");
        like($cached->(), qr/^0/, "$uri: nothing of it is there");
    }
    is(unpack('%32C*', $d->get('/off/big')->body), $sum, 'as usual');
    unlike($cached->(), qr/^0/, 'it is there');
}
my @parts = map { my $body = $d->get($_, headers => ['Range' => 'bytes=5-100,4096-8191,700001-900000'])->body; $body =~ s/^--\d+(?:--)?\r$/--boundary/mg; $body } qw(/big /4k/big /threads/big /off/big);
ok($parts[$_] eq $parts[3] && length $parts[3] > 200_000, 'several parts') for 0 .. 2;
unlike($d->error_log, qr/directio is not possible/, 'it was possible');
@conns = map { my $c = $d->connect(rcvbuf => 65536); $c->request(GET => (qw(/big /4k/big /threads/big))[$_ % 3], headers => ['Range' => 'bytes=' . $_ * 100001 . '-']); $c } 0 .. 11;
$conns[$_]->close for 0, 5;
$conns[$_]->reset for 1, 6;
for my $i (2, 3, 4, 7 .. 11) {
    my $m = $conns[$i]->response;
    is($m ? unpack('%32C*', $m->body) : 'nothing', unpack('%32C*', substr $files{'html/big'}, $i * 100001), "directio: client $i of many");
}
$pipe = $d->connect;
$pipe->send(get('/big') =~ s/Connection: close\r\n//r x 3);
is(unpack('%32C*', $pipe->response->body), $sum, 'directio: one of three in a row') for 1 .. 3;
for (['directio x', 'invalid value'], ['directio_alignment 1000', 'power of two'], ['directio_alignment 256', 'power of two'], ['output_buffers 0 4k', 'invalid value']) {
    my ($code, $said) = Weir->new(conf => "events { }\nhttp { $_->[0]; server { listen 127.0.0.1:%%PORT_0%%; } }\n")->t_binary;
    ok($code != 0 && $said =~ /$_->[1]/, "$_->[0]: $_->[1]") or diag $said;
}

# ---- wrong words

my $wrong = Weir->new;
for my $row (['open_file_cache inactive=5s', '"open_file_cache" directive must have the "max" parameter'], ['open_file_cache max=0', 'invalid "open_file_cache" parameter "max=0"'],
    ['open_file_cache max=5 x', 'invalid "open_file_cache" parameter "x"'], ['disable_symlinks maybe', 'invalid parameter "maybe"'],
    ['disable_symlinks on off', 'duplicate parameters "on off"'], ['disable_symlinks from=/x', '"disable_symlinks" must have "off", "on" or "if_not_owner" parameter'],
    ['aio threads=none', 'unknown thread pool "none"'], ['aio maybe', 'invalid value']) {
    $wrong->write_conf("events { }\nhttp { $row->[0]; }\n");
    my ($code, $said) = $wrong->t_binary;
    like($said, qr/\[emerg\] \Q$row->[1]\E.* in \S+:2$/m, "$row->[0]: refused");
}
$wrong->expect_log(qr/./);
done_testing;
