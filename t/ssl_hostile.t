# Clients that come back to any of four workers, counted, over a reload; handshakes that are cut, slow, too long or never go on,
# ten thousand at once, while a good client is served; certificates that are wrong at a reload.
use strict;
use warnings;
BEGIN { if (!$ENV{SSL_HOSTILE_FILES}) { $ENV{SSL_HOSTILE_FILES} = 1; exec 'sh', '-c', 'ulimit -n "$(ulimit -Hn)"; exec "$@"', 'sh', $^X, $0 } }
use lib 't/lib';
use Weir;
use Weir::Pem;
use IO::Select;
use IPC::Open2;
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);
$SIG{PIPE} = 'IGNORE';

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('a', by => 'ca', names => ['a.test'])->issue('b', by => 'ca', names => ['b.test']);
my ($files) = `sh -c 'ulimit -n'` =~ /(\d+)/;
my $half = (sort { $a <=> $b } 10000, int(($files || 1024) / 2) - 200)[0];
my $conf = <<'EOC';
worker_processes %%WORKERS%%; worker_rlimit_nofile 24000;
events { worker_connections 12000; }
http { ssl_certificate %%PEM%%/live.pem; ssl_certificate_key %%PEM%%/live.key; ssl_protocols TLSv1.2 TLSv1.3; keepalive_timeout 0; client_header_timeout 120s;
    server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_session_cache shared:s:1m; ssl_session_tickets off; return 200 "$ssl_session_reused $pid"; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; return 200 "$ssl_session_reused $pid"; }
    server { listen 127.0.0.1:%%PORT_2%% ssl; keepalive_timeout 60s; return 200 "kept"; } }
EOC
sub use_pair { my ($c, $k) = @_; $pem->write('live.pem', $pem->read("$c.pem")); $pem->write('live.key', $pem->read("$k.key")) }
use_pair('a', 'a');
my $w = Weir->new(conf => $conf, vars => { PEM => $pem->{dir}, WORKERS => 4 })->start;
$w->wait_workers(4);

# ---- back to any worker

my $file = Weir::scratch() . '/session';
sub visit {
    my ($port, $version) = @_;
    my @in = -s $file ? ('-sess_in', $file) : ();
    my $to = $w->port($port);
    my $said = `printf 'GET / HTTP/1.0\\r\\nHost: a.test\\r\\n\\r\\n' | timeout 10 openssl s_client -connect 127.0.0.1:$to -servername a.test -$version -ign_eof @in -sess_out $file 2>/dev/null`;
    return $said =~ /\r\n\r\n([r.]) (\d+)/ ? ($1, $2) : ('?', 0);
}
for (['by id', 0, 'tls1_2'], ['by ticket', 1, 'tls1_3']) {
    my ($name, $port, $version) = @$_;
    unlink $file;
    visit($port, $version);
    my ($back, %workers) = (0);
    for my $n (1 .. 100) {
        ok($w->reload, "$name: a reload on the way") if $n == 50;
        my ($r, $pid) = visit($port, $version);
        $back++ if $r eq 'r';
        $workers{$pid} = 1;
    }
    cmp_ok($back, '>=', 99, "$name: of 100 visits at least 99 come back");
    cmp_ok(scalar(keys %workers), '>=', 4, "$name: to four workers or more");
}

# ---- certificates that are wrong at a reload

sub shown { my $to = $w->port(1); return `openssl s_client -connect 127.0.0.1:$to </dev/null 2>/dev/null` =~ /^subject=CN = (\w+)/m ? $1 : 'none' }
sub emergs { my $log = $w->error_log; return scalar(() = $log =~ /\[emerg\]/g) }
sub refused {
    my ($name, $change, $says) = @_;
    my ($before, @workers) = (emergs(), $w->workers);
    $change->();
    kill HUP => $w->pid;
    $w->expect_log($says, $name);
    ok($w->wait_error(qr/\[emerg\].*$says/), "$name: it is said") or diag($w->error_log);
    is(emergs(), $before + 1, "$name: in one line");
    is(shown(), 'a', "$name: the old one stays");
    is_deeply([sort $w->workers], [sort @workers], "$name: with its workers");
    use_pair('a', 'a');
}
refused('a missing certificate', sub { unlink $pem->file('live.pem') }, qr/cannot load certificate "[^"]*live\.pem": BIO_new_file\(\) failed/);
refused('another key', sub { use_pair('a', 'b') }, qr/SSL_CTX_use_PrivateKey\("[^"]*live\.key"\) failed \(SSL: .*key values mismatch/);
refused('half a certificate', sub { $pem->write('live.pem', substr $pem->read('a.pem'), 0, 200) }, qr/cannot load certificate "[^"]*live\.pem": PEM_read_bio_X509_AUX\(\) failed/);
refused('a missing key', sub { unlink $pem->file('live.key') }, qr/cannot load certificate key "[^"]*live\.key": BIO_new_file\(\) failed/);
use_pair('b', 'b');
ok($w->reload, 'a good one');
is(shown(), 'b', 'is taken');
$w->stop;

# ---- hostile

$w = Weir->new(conf => $conf, vars => { PEM => $pem->{dir}, WORKERS => 1 })->start;
my ($worker) = $w->workers;
sub memory { my $kb = 0; my $s = Weir::slurp("/proc/$worker/smaps_rollup"); $kb += $1 while $s =~ /^Private_(?:Clean|Dirty):\s+(\d+)/mg; return $kb * 1024 }
sub served { my $c = eval { $w->connect(port => 1, ssl => 1) } or return 'no connection'; return eval { $c->get('/')->status } // 'nothing' }
is(served(), 200, 'a good client');

# What openssl says first, as it is.
sub first_flight {
    my $door = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die;
    my $port = $door->sockport;
    my $pid = fork // die;
    if (!$pid) { open STDOUT, '>', '/dev/null'; open STDERR, '>', '/dev/null'; open STDIN, '<', '/dev/null'; exec qw(timeout 10 openssl s_client -connect), "127.0.0.1:$port" or Weir::leave(127) }
    my $c = $door->accept;
    my $bytes = '';
    until (length $bytes > 5 && length $bytes >= 5 + unpack 'x3n', $bytes) { sysread $c, $bytes, 65536, length $bytes or last }
    close $c;
    waitpid $pid, 0;
    return $bytes;
}
my $hello = first_flight();
cmp_ok(length $hello, '>', 100, 'a hello');
my $raw = sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $w->port(1)) or die };
my $before = memory();
for (my $n = 1; $n < length $hello; $n += 3) { my $c = $raw->(); syswrite $c, substr $hello, 0, $n; close $c }
is(served(), 200, 'after hellos cut anywhere');
for (my $n = 0; $n < length $hello; $n += 2) { my $c = $raw->(); my $x = $hello; substr($x, $n, 1) ^= "\xff"; syswrite $c, $x; shutdown $c, 1; 1 while sysread $c, my $said, 65536; close $c }
is(served(), 200, 'after hellos changed anywhere');
for my $long ("\x16\x03\x01\xff\xff" . 'x' x 65535, "\x16\x03\x01\x40\x00\x01\xff\xff\xff" . 'x' x 16380 . ("\x16\x03\x01\x40\x00" . 'x' x 16384) x 20, "\x80\x2e\x01\x03\x01" . 'x' x 300) {
    my $c = $raw->();
    my $until = time + 10;
    syswrite $c, $long;
    1 while IO::Select->new($c)->can_read($until - time > 0 ? $until - time : 0) && sysread $c, my $said, 65536;
    cmp_ok(time, '<', $until, 'a hello that is too long is refused at once');
}
for (1 .. 200) { my $c = $raw->(); syswrite $c, $hello; setsockopt $c, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0; close $c }
is(served(), 200, 'after clients that reset in the handshake');
ok($w->sanitized || memory() - $before < 8 << 20, 'all of it cost little memory');

$before = memory();
my $began = time;
my @open = map { my $c = $raw->(); syswrite $c, substr $hello, 0, 1 + $_ % (length($hello) - 1); $c } 1 .. $half;
is(served(), 200, "beside $half handshakes that do not go on");
my $each = (memory() - $before) / $half;
ok($w->sanitized || $each < 4 << 10, sprintf '%d bytes for each', $each);
my $t = time;
served() for 1 .. 20;
cmp_ok((time - $t) / 20, '<', 1, 'a good client does not wait');
@open = ();
ok(wait_for(sub { served() eq '200' }), 'and after they left');
$before = memory();
@open = map { my $c = $raw->(); syswrite $c, $hello; $c } 1 .. 1000;
is(served(), 200, 'beside 1000 that say hello and no more');
$each = (memory() - $before) / 1000;
ok($w->sanitized || $each < 48 << 10, sprintf '%d bytes for each of them', $each);
@open = ();
ok(wait_for(sub { served() eq '200' }), 'and after they left');

# ---- within a session

# Says one line to s_client, waits for words in its output, and so on; what came in all.
sub talk {
    my ($options, @steps) = @_;
    my $to = $w->port(2);
    my $pid = open2(my $out, my $in, "timeout 20 openssl s_client -connect 127.0.0.1:$to $options 2>&1");
    my $said = '';
    my $hear = sub { my $what = shift; my $until = time + 10; while ($said !~ $what) { IO::Select->new($out)->can_read($until - time > 0 ? $until - time : 0) && sysread($out, $said, 65536, length $said) or return } };
    $hear->(qr/Verify return code.*?---\n/s);
    while (@steps) { syswrite $in, shift @steps; $hear->(shift @steps) }
    close $in;
    close $out;
    waitpid $pid, 0;
    return $said;
}
my $get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
my $said = talk('-tls1_3', "K\n", qr/KEYUPDATE/, $get, qr/kept/, "k\n", qr/KEYUPDATE\n.*KEYUPDATE/s, $get, qr/kept.*kept/s);
is(scalar(() = $said =~ /kept/g), 2, 'TLS 1.3: new keys, asked for from both sides');
$said = talk('-tls1_2', $get, qr/kept/, "R\n", qr/RENEGOTIATING.*(error|closed|alert)/s);
like($said, qr/no renegotiation|handshake failure|closed|error/i, 'TLS 1.2: a second handshake is refused');
is(served(), 200, 'and the server serves on');
unlike($w->error_log, qr/\[(alert|crit)\]/, 'nothing worse than [info] was logged');
is_deeply([$w->workers], [$worker], 'by the same worker');
done_testing;
