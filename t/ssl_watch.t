# Certificates while the server runs: changed files are taken by all workers without a reload, bad ones are not; and who is about
# to expire is told of once.
use lib 't/lib';
use Weir;
use Weir::Pem;
use IO::Socket::SSL;
$SIG{PIPE} = 'IGNORE';

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca');
$pem->issue($_, by => 'ca', names => ['a.test'], days => 20) for qw(a a2 a3 a4 a5);
$pem->issue('b', by => 'ca', names => ['b.test'], days => 10)->issue('r', by => 'ca', names => ['a.test'], rsa => 1)->issue('old', by => 'ca', names => ['a.test'], days => 0);
$pem->encrypt('a4', 'secret');
$pem->write('passwords', "secret\n");
my $w = Weir->new(files => { map { $_ => $pem->read($_) } qw(a.pem a.key b.pem b.key passwords) }, conf => <<'EOC');
user nobody nogroup;
worker_processes 4;
events { }
http {
    keepalive_timeout 0;
    server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate a.pem; ssl_certificate_key a.key; ssl_password_file passwords; ssl_certificate_watch on; return 200 $pid; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; ssl_certificate b.pem; ssl_certificate_key b.key; return 200 $pid; }
}
EOC
plan(skip_all => 'nginx does not watch') if $w->{nginx};
chmod 0600, map { $w->dir . "/$_" } qw(a.key b.key passwords);
$w->start;
ok($w->wait_workers(4), 'four workers');

my %serial = map { $_ => `openssl x509 -in $pem->{dir}/$_.pem -noout -serial` =~ /=(\w+)/ } qw(a a2 a3 a4 a5 b r old);
my %name = reverse %serial;
sub shown {     # what one handshake is shown, and by whom
    my ($port) = @_;
    my $s = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $w->port($port), SSL_verify_mode => 0) or return 'none';
    my $serial = Net::SSLeay::P_ASN1_INTEGER_get_hex(Net::SSLeay::X509_get_serialNumber($s->peer_certificate));
    print $s "GET / HTTP/1.0\r\n\r\n";
    my $body = join '', <$s>;
    return ($name{$serial} // $serial, $body =~ /\r\n\r\n(\d+)/);
}
sub all_show {  # "a4" when forty handshakes show that one and come to all workers
    my ($port) = @_;
    my (%c, %p);
    for (1 .. 40) {
        my ($c, $p) = shown($port // 0);
        $c{$c}++;
        $p{ $p // 0 }++;
    }
    return join(' ', sort keys %c) . scalar keys %p;
}
sub put {       # as a careful tool does: under another name first
    my ($from, $to) = @_;
    open my $out, '>:raw', $w->dir . "/new" or die;
    print $out ref $from ? $$from : $pem->read($from);
    close $out;
    chmod 0600, $w->dir . '/new';
    rename $w->dir . '/new', $w->dir . "/$to" or die;
}
sub count { my $re = shift; return scalar(() = $w->error_log =~ /$re/g) }

is(all_show(), 'a4', 'at first');
my @workers = $w->workers;
put('a2.pem', 'a.pem');
put('a2.key', 'a.key');
ok(wait_for(sub { all_show() eq 'a24' }), 'all four show the new one');
is_deeply([sort $w->workers], [sort @workers], 'they are the same workers');
is(count(qr/\[notice\].*certificate "[^"]*a\.pem" has changed, and is taken/), 1, 'the log tells so');

# ---- what is not taken: one line each, the old one stays
my $errors = 0;
for (['a key of another', 'a3.pem', undef, qr/cannot load certificate key .*not that of the certificate/], ['a broken certificate', \"-----BEGIN CERTIFICATE-----\nAAAA\n", undef, qr/cannot load certificate ".*a\.pem/],
    ['an expired one', 'old.pem', 'old.key', qr/it is expired/], ['another type of key', 'r.pem', 'r.key', qr/another type \(rsaEncryption\) than before \(id-ecPublicKey\)/],
    ['a broken key', 'a3.pem', \'nothing', qr/cannot load certificate key ".*a\.key": PEM_read/]) {
    my ($what, $certificate, $key, $words) = @$_;
    put($certificate, 'a.pem') if $certificate;
    put($key, 'a.key') if $key;
    ok($w->wait_error(qr/\[error\].*$words/), "$what: said") or diag($w->error_log);
    is(all_show(), 'a24', "$what: the old one stays");
    is(count(qr/\[error\]/), ++$errors, "$what: one line");
}
rename $w->dir . '/a.pem', $w->dir . '/aside';
ok($w->wait_error(qr/\[error\].*cannot load certificate "[^"]*a\.pem".*No such file/), 'a missing one: said');
is(all_show(), 'a24', 'a missing one: the old one stays');
is(count(qr/\[error\]/), ++$errors, 'a missing one: one line');

# ---- a good one after that; a worker that comes later; a key under a password; a reload
put('a3.pem', 'a.pem');
put('a3.key', 'a.key');
ok(wait_for(sub { all_show() eq 'a34' }), 'a good one after bad ones');
$w->expect_log(qr/worker process \d+ exited on signal 9/);
kill KILL => $workers[0];
ok(wait_for(sub { my @now = $w->workers; @now == 4 && !grep { $_ == $workers[0] } @now }), 'a worker is replaced');
is(all_show(), 'a34', 'the new worker shows it too');
put('a4.enc', 'a.key');
put('a4.pem', 'a.pem');
ok(wait_for(sub { all_show() eq 'a44' }), 'a key under a password');
put('a5.key', 'a.key');
put('a5.pem', 'a.pem');
ok($w->reload, 'a reload beside a change');
ok(wait_for(sub { $w->wait_workers(4) && all_show() eq 'a54' }), 'has what the files say');
put('a.key', 'a.key');
put('a.pem', 'a.pem');
ok(wait_for(sub { all_show() eq 'a4' }), 'and changes are taken after it');

# ---- without the word nothing is watched
put('a3.key', 'b.key');
put('a3.pem', 'b.pem');
put('a2.key', 'a.key');
put('a2.pem', 'a.pem');
ok(wait_for(sub { all_show() eq 'a24' }), 'one that is watched is taken');
is(all_show(1), 'b4', 'one that is not is not');
put('b.pem', 'b.pem');
put('b.key', 'b.key');

# ---- the end of certificates
ok($w->wait_error(qr/\[warn\].*certificate "[^"]*b\.pem" expires in 10 days, on \w+ +\d+ [\d:]+ \d+ GMT/), 'it expires soon');
ok($w->reload, 'a reload');
ok(wait_for(sub { $w->error_log =~ /.*start worker processes/s && $w->wait_workers(4) }), 'of all');
is(count(qr/\[warn\].*b\.pem" expires/), 1, 'told once, over reloads');
ok($w->wait_error(qr/\[warn\].*a\.pem" expires in 20 days/), 'each by its own time');

# ---- one process
my $one = Weir->new(globals => 'master_process off; ', files => { map { $_ => $pem->read($_) } qw(a.pem a.key old.pem old.key) }, conf => <<'EOC')->start;
events { }
http { server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate a.pem; ssl_certificate_key a.key; ssl_certificate_watch on; return 200 $pid; }
       server { listen 127.0.0.1:%%PORT_0%% ssl; server_name old.test; ssl_certificate old.pem; ssl_certificate_key old.key; } }
EOC
$w = $one;
is((shown(0))[0], 'a', 'one process: at first');
ok($one->wait_error(qr/\[error\].*old\.pem" has expired, on /), 'one that has expired');
put('a2.pem', 'a.pem');
put('a2.key', 'a.key');
ok(wait_for(sub { (shown(0))[0] eq 'a2' }), 'one process: the new one');
done_testing;
