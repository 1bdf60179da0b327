# geo: the binary base beside a large included file of ranges, made and read as nginx does, each reading the other's.
use lib 't/lib';
use Weir;

my $count = 100_001;
my $ranges = join '', map { my ($from, $to) = map { join '.', unpack 'C4', pack 'N', 0x0a000000 + $_ } $_ * 4, $_ * 4 + 2; "$from-$to v" . $_ % 7 . ";\n" } 0 .. $count - 1;
my $conf = <<'EOC';
events { }
http {
    geo $arg_a $x { ranges; default none; %%BEFORE%% include %%TESTDIR%%/ranges; %%AFTER%% }
    server { listen 127.0.0.1:%%PORT_0%%; return 200 $x; }
}
EOC

my %want = ('10.0.0.0' => 'v0', '10.0.0.2' => 'v0', '10.0.0.3' => 'none', '10.0.0.4' => 'v1', '10.6.26.128' => 'v' . 100_000 % 7, '10.6.26.131' => 'none', '9.255.255.255' => 'none', '10.3.0.1' => 'v' . (0x30000 / 4) % 7);
sub check { my ($w, $why) = @_; is(join(' ', map { "$_=" . $w->get("/?a=$_")->body } sort keys %want), join(' ', map { "$_=$want{$_}" } sort keys %want), $why) }
sub text_of { my ($w, $name) = @_; return Weir::slurp($w->dir . "/$name") }
sub loads { my ($w, $re, $why) = @_; my ($code, $said) = $w->t_binary; is($code, 0, "$why: -t"); like($said, $re, $why) }

my $w = Weir->new(conf => $conf, log_level => 'notice', files => { ranges => $ranges }, vars => { BEFORE => '', AFTER => '' });
loads($w, qr/creating binary geo range base ".*ranges\.bin"/, 'a base is made');
unlink $w->dir . '/ranges.bin';
$w->start;
check($w, 'from the text');
my $base = text_of($w, 'ranges.bin');
is(substr($base, 0, 8), "GEORNG\0\x08", 'in nginx\'s format');
ok($w->reload, 'reload');
like($w->error_log, qr/using binary geo range base ".*ranges\.bin" in .*:\d+/, 'and read');
check($w, 'from the base');

# What cannot be used is told of, and made anew.
my $file = $w->dir . '/ranges.bin';
for ([ 'cut', substr($base, 0, 3000), qr/CRC32 mismatch in binary/ ], [ 'another kind of file', "GEORNG\0\x04" . 'x' x 100, qr/incompatible binary/ ], [ 'empty', '', qr/incompatible binary/ ]) {
    my ($what, $bytes, $re) = @$_;
    $w->write_file('ranges.bin', $bytes);
    loads($w, $re, $what);
    is(length text_of($w, 'ranges.bin'), length $base, "$what: made anew");
}
utime 1600000000, 1600000000, $file;
loads($w, qr/stale binary/, 'older than the text');

# A right checksum over wrong offsets must not be followed.
if (eval { require Compress::Zlib; 1 }) {
    my $wrong = 0;
    for my $at (map { 16 + 8 * $_ } 0 .. 60, 65_000 .. 65_030, 66_000 .. 66_030) {
        my $bytes = $base;
        substr($bytes, $at, 8) = pack 'Q<', 0x7ffffff8 - $at;
        substr($bytes, 12, 4) = pack 'V', Compress::Zlib::crc32(substr($bytes, 16));
        next if $at % 7;
        $w->write_file('ranges.bin', $bytes);
        my ($code) = $w->t_binary;
        $wrong++ if $code != 0;
    }
    is($wrong, 0, 'wrong offsets');
}

# Neither made nor used where it would not say all.
for ([ 'a range outside', '9.0.0.1-9.0.0.2 q;', '', 0 ], [ 'a range behind it', '', '9.0.0.1-9.0.0.2 q;', 0 ], [ 'a delete behind it', '', 'delete 10.0.0.0-10.0.0.2;', 0 ], [ 'a proxy', 'proxy 127.0.0.1;', '', 1 ]) {
    my ($what, $before, $after, $made) = @$_;
    my $other = Weir->new(conf => $conf, log_level => 'notice', files => { ranges => $ranges }, vars => { BEFORE => $before, AFTER => $after });
    my ($code, $said) = $other->t_binary;
    is($code, 0, "$what: -t");
    is(-e $other->dir . '/ranges.bin' ? 1 : 0, $made, "$what: " . ($made ? 'made' : 'not made'));
}
my $other = Weir->new(conf => $conf, log_level => 'notice', files => { ranges => "${ranges}default inside;\n" }, vars => { BEFORE => '', AFTER => '' });
$other->t_binary;
ok(!-e $other->dir . '/ranges.bin', 'a default in the file: not made');
my $few = Weir->new(conf => $conf, files => { ranges => join '', (split /^/, $ranges)[0 .. 99_999] }, vars => { BEFORE => '', AFTER => '' });
$few->t_binary;
ok(!-e $few->dir . '/ranges.bin', 'a hundred thousand: not made');

# Ranges after a base are added to it.
my $more = Weir->new(conf => $conf, log_level => 'notice', files => { ranges => $ranges, 'ranges.bin' => $base }, vars => { BEFORE => '', AFTER => '9.255.255.255-9.255.255.255 more; 10.0.0.3-10.0.0.3 gap; delete 10.0.0.4-10.0.0.6;' });
loads($more, qr/using binary/, 'the base, and more');
$more->start;
is(join(' ', map { $more->get("/?a=$_")->body } '9.255.255.255', '10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.8'), 'more v0 gap none v2', 'both are there');

SKIP: {
    skip 'no nginx', 5 unless -x $Weir::nginx;
    my @at = (conf => $conf, log_level => 'notice', files => { ranges => $ranges }, vars => { BEFORE => '', AFTER => '' });
    my $nginx = Weir->new(@at, binary => $Weir::nginx)->start;
    check($nginx, 'nginx: from the text');
    my $theirs = text_of($nginx, 'ranges.bin');
    is(length $theirs, length $base, 'nginx\'s base is as long');
    my $reads = Weir->new(@at);
    $reads->write_file('ranges.bin', $theirs);
    loads($reads, qr/using binary/, 'weir reads nginx\'s');
    $reads->start;
    check($reads, 'from nginx\'s base');
    my $back = Weir->new(@at, binary => $Weir::nginx);
    $back->write_file('ranges.bin', $base);
    $back->start;
    ok(text_of($back, 'ranges.bin') eq $base, 'nginx takes weir\'s as it is');
    check($back, 'nginx: from weir\'s base');
}
done_testing;
