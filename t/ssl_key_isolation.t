# ssl_key_isolation: private keys are in one process, which signs for the workers; they are not in a worker's memory.
use lib 't/lib';
use Weir;
use Weir::Pem;
$SIG{PIPE} = "IGNORE";
use IO::Socket::SSL;
no warnings 'portable';

plan(skip_all => 'nginx has no key process') if ($ENV{WEIR_BINARY} // '') =~ /nginx[^\/]*$/;
my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('ec', by => 'ca')->issue('rsa', by => 'ca', rsa => 1)->issue('ed', by => 'ca')->issue('client', by => 'ca')->issue('next', by => 'ca')->encrypt('rsa', 'secret');
$pem->openssl(qw(genpkey -algorithm ED25519 -out ed.key));
$pem->openssl(qw(req -new -subj /CN=ed -key ed.key -out ed.csr));
$pem->reissue('ed', by => 'ca', serial => 77);
$pem->write('passwords', "secret\n");
my %files = map { $_ => $pem->read($_) } qw(ca.pem ec.pem ec.key rsa.pem rsa.enc ed.pem ed.key client.pem client.key passwords);
my $conf = <<'EOC';
worker_processes 2;
ssl_key_isolation %%ON%%;
error_log error.log info;
events { }
http {
    access_log off;
    ssl_password_file passwords; ssl_ciphers ALL:@SECLEVEL=0; ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
    server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate ec.pem; ssl_certificate_key ec.key; ssl_certificate_watch on; return 200 $pid; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; ssl_certificate rsa.pem; ssl_certificate_key rsa.enc; return 200 $pid; }
    server { listen 127.0.0.1:%%PORT_2%% ssl; ssl_certificate ed.pem; ssl_certificate_key ed.key; return 200 $pid; }
    server { listen 127.0.0.1:%%PORT_3%% ssl; ssl_certificate ec.pem; ssl_certificate_key ec.key; ssl_client_certificate ca.pem; ssl_verify_client on; return 200 $ssl_client_s_dn; }
    server { listen 127.0.0.1:%%PORT_4%%; location / { proxy_pass https://127.0.0.1:%%PORT_3%%; proxy_ssl_certificate client.pem; proxy_ssl_certificate_key client.key; proxy_ssl_session_reuse off; } location = /plain { return 200 $pid; } }
    server { listen 127.0.0.1:%%PORT_5%% ssl; server_name ec.test; ssl_certificate rsa.pem; ssl_certificate_key rsa.enc; return 200 rsa; }
    server { listen 127.0.0.1:%%PORT_5%% ssl; server_name ~^(.*)\.ed\.test$; ssl_certificate ed.pem; ssl_certificate_key ed.key; ssl_early_data on; return 200 "ed $1"; }
}
EOC
my $w = Weir->new(vars => { ON => 'on' }, files => \%files, conf => $conf)->start;
my $off = Weir->new(vars => { ON => 'off' }, files => \%files, conf => $conf)->start;

sub shake {        # the status line, and what was agreed on
    my ($x, $n, @more) = @_;
    my $to = $x->port($n);
    my $said = `printf 'GET / HTTP/1.0\\r\\nHost: x.ed.test\\r\\n\\r\\n' | timeout 20 openssl s_client -connect 127.0.0.1:$to -ign_eof @more 2>&1`;
    my ($status) = $said =~ m{HTTP/1.1 (\d+)};
    my ($kind) = $said =~ /Peer signature type: (\S+)/;
    my ($version) = $said =~ /^\s*Protocol\s*:\s*(\S+)|(?:New|Reused), (TLSv1\.3)/m ? $1 // $2 : '-';
    return ($status // 'none') . ' ' . ($kind // '-') . ' ' . $version;
}
for (
    [0, '200 ECDSA TLSv1.3'], [0, '200 ECDSA TLSv1.2', '-tls1_2'], [1, '200 RSA-PSS TLSv1.3'], [1, '200 RSA-PSS TLSv1.2', '-tls1_2'],
    [1, '200 RSA TLSv1.2', qw(-tls1_2 -sigalgs RSA+SHA256)], [1, '200 - TLSv1.2', qw(-tls1_2 -cipher AES128-SHA)], [2, '200 ed25519 TLSv1.3'], [2, '200 ed25519 TLSv1.2', '-tls1_2'],
    [1, '200 RSA TLSv1', qw(-tls1 -cipher ALL:@SECLEVEL=0)], [5, '200 RSA-PSS TLSv1.3', qw(-servername ec.test)], [5, '200 ed25519 TLSv1.3', qw(-servername x.ed.test)],
) {
    my ($n, $expected, @more) = @$_;
    my ($got, $plain) = map { shake($_, $n, @more) } $w, $off;
    is($got, $plain, "server $n @more: as without a key process");
    is($got, $expected, "server $n @more");
}
is($w->get('/', port => $w->port(4))->body, 'O=Test,CN=client', 'a key that is shown to a proxied server') for 1 .. 2;

# ---- what lies where
sub kin {
    my ($x) = @_;
    my %kin = (master => [$x->pid], worker => [], manager => [], key => []);
    for my $pid (Weir::children($x->pid)) { push @{ $kin{$1} }, $pid if Weir::title($pid) =~ /^weir: (worker|manager|key) process$/ }
    return %kin;
}
sub min { return $_[0] < $_[1] ? $_[0] : $_[1] }
my %needles;
for my $name (qw(ec rsa ed client)) {
    my $text = `openssl pkey -in $pem->{dir}/$name.key -noout -text 2>/dev/null`;
    my ($hex) = $text =~ /(?:priv|privateExponent|prime1):\s*((?:[0-9a-f]{2}:?\s*)+)/;
    my ($prime) = $text =~ /prime1:\s*((?:[0-9a-f]{2}:?\s*)+)/;
    for ([$name, $hex], ["$name: a prime", $prime]) {
        my ($of, $digits) = @$_;
        next unless $digits;
        $digits =~ s/[^0-9a-f]//g;
        $needles{$of} = pack 'H*', $digits =~ s/^(00)+//r;
        $needles{"$of, as a number"} = scalar reverse $needles{$of} unless $name eq 'ed';
    }
    $needles{"$name: a line of its file"} = (split /\n/, $pem->read("$name.key"))[1];
}
sub found {
    my ($pid) = @_;
    my %found;
    open my $mem, '<:raw', "/proc/$pid/mem" or return;
    for (split /^(?=[0-9a-f]+-[0-9a-f]+ )/m, Weir::slurp("/proc/$pid/smaps")) {
        /^([0-9a-f]+)-([0-9a-f]+) r/ && !/^Rss:\s+0 kB/m or next;
        my ($from, $to) = (hex $1, hex $2);
        next if $to - $from > 1 << 30;
        sysseek $mem, $from, 0 or next;
        my $bytes = '';
        1 while $to - $from > length $bytes && sysread $mem, $bytes, min($to - $from - length $bytes, 1 << 20), length $bytes;
        $found{$_} = 1 for grep { index($bytes, $needles{$_}) >= 0 } keys %needles;
    }
    return sort keys %found;
}
SKIP: {
    my (%on, %plain);
    wait_for(sub { %on = kin($w); @{ $on{key} } == 1 && @{ $on{worker} } == 2 });
    %plain = kin($off);
    is(scalar @{ $on{key} }, 1, 'a key process');
    is(scalar @{ $plain{key} }, 0, 'none where it is off');
    skip 'memory of a sanitized binary says nothing: it keeps what was freed', 8 if $w->sanitized;
    skip 'may not look into processes', 8 if $> != 0;
    my %seen = map { $_ => 1 } map { (split /[,:]/)[0] } found($plain{worker}[0]);
    is(join(' ', sort keys %seen), 'client ec ed rsa', 'off: each key is in a worker: the test can find them');
    is(join(' ', found($_)), '', "on: none is in worker $_") for @{ $on{worker} };
    is(join(' ', found($_)), '', "on: none is in manager $_") for @{ $on{manager} };
    %seen = map { $_ => 1 } map { (split /[,:]/)[0] } found($on{key}[0]);
    is(join(' ', sort keys %seen), 'client ec ed rsa', 'on: all are in the key process');
    isnt(readlink "/proc/$on{key}[0]/ns/net", readlink "/proc/$on{worker}[0]/ns/net", 'which has no network');
    is((stat "/proc/$on{key}[0]/mem")[4], 0, 'and nobody but root looks into it');
    is(Weir::slurp("/proc/$on{key}[0]/status") =~ /^Uid:\s+(\d+)/m && $1, Weir::slurp("/proc/$on{worker}[0]/status") =~ /^Uid:\s+(\d+)/m && $1, 'though it runs as user');
}

# ---- it hangs, dies, is another: handshakes wait, others do not
sub key_pid { my %k = kin($w); return @{ $k{key} } == 1 ? $k{key}[0] : undef }
sub begin { my ($n) = @_; my $pid = open(my $out, '-|', 'sh', '-c', "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 30 openssl s_client -connect 127.0.0.1:" . $w->port($n) . ' -ign_eof 2>&1') // die; return $out }
sub rest { my ($out) = @_; local $/; my $said = <$out>; close $out; return $said =~ m{HTTP/1.1 (\d+)} ? $1 : 'none' }
my $first = key_pid();
kill STOP => $first;
my @waiting = map { begin($_) } 0, 1, 2, 0, 1, 2;
is(join(' ', map { $w->get('/plain', port => $w->port(4))->status } 1 .. 10), join(' ', (200) x 10), 'while handshakes wait, both workers serve others');
for (1 .. 3) { my $gone = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . $w->port(0)); close begin(0) if !$gone; IO::Socket::SSL->start_SSL($gone, SSL_verify_mode => 0, Timeout => 0.3); close $gone }
kill CONT => $first;
is(join(' ', map { rest($_) } @waiting), join(' ', (200) x 6), 'they go on when it answers');
kill STOP => $first;
@waiting = map { begin($_) } 0, 1, 2, 0;
select undef, undef, undef, 0.5;
kill KILL => $first;
is(join(' ', map { rest($_) } @waiting), join(' ', (200) x 4), 'it dies: the next one is asked once more');
ok($w->wait_error(qr/key process $first exited on signal 9/), 'said');
isnt(key_pid(), $first, 'another one');
is(shake($w, 1), '200 RSA-PSS TLSv1.3', 'which knows all keys');
kill STOP => my $mute = key_pid();
is(rest(begin(0)), 'none', 'it does not answer: the handshake fails');
ok($w->wait_error(qr/\[error\].*SSL_do_handshake\(\) failed, the key process does not answer.*client/), 'said');
kill CONT => $mute;
is(shake($w, 0), '200 ECDSA TLSv1.3', 'it answers again');

# ---- other keys: changed files, a reload
sub serial { my $to = $w->port($_[0]); return `timeout 10 openssl s_client -connect 127.0.0.1:$to </dev/null 2>/dev/null | openssl x509 -noout -serial` =~ /serial=(\w+)/ ? $1 : 'none' }
my $was = serial(0);
$w->write_file('ec.pem', $pem->read('next.pem'));
$w->write_file('ec.key', $pem->read('next.key'));
ok(wait_for(sub { serial(0) ne $was && serial(0) ne 'none' }, 20), 'a certificate that changes is taken') or diag($w->error_log);
is(shake($w, 0), '200 ECDSA TLSv1.3', 'with its key') for 1 .. 4;
kill KILL => key_pid();
ok(wait_for(sub { shake($w, 0) eq '200 ECDSA TLSv1.3' }), 'which the next key process knows');
my $before = key_pid();
ok($w->reload, 'a reload');
ok(wait_for(sub { my $k = key_pid(); $k && $k != $before }), 'begins another key process, and the old one leaves');
is(join(' ', map { (split ' ', shake($w, $_))[1] } 0, 1, 2), 'ECDSA RSA-PSS ed25519', 'after it');

# ---- a worker dies, a new binary
my %kin = kin($w);
my $victim = $kin{worker}[0];
$w->expect_log(qr/exited on signal 9/);
kill KILL => $victim;
ok(wait_for(sub { my %k = kin($w); @{ $k{worker} } == 2 && !grep { $_ == $victim } @{ $k{worker} } }), 'a worker dies');
is(join(' ', map { (split ' ', shake($w, $_))[1] // '-' } (0, 1, 2) x 2), join(' ', ('ECDSA RSA-PSS ed25519') x 2), 'the one in its place asks as well');
my $old = $w->pid;
my $old_key = key_pid();
ok($w->upgrade, 'a new binary');
kill QUIT => $old;
ok(wait_for(sub { !Weir::alive($old) && !Weir::alive($old_key) }), 'the old one leaves, and its key process');
ok(wait_for(sub { key_pid() }), 'the new one has its own');
is(join(' ', map { (split ' ', shake($w, $_))[1] // '-' } 0, 1, 2), 'ECDSA RSA-PSS ed25519', 'after it');

# ---- what cannot be
sub complaint { my ($main, $lines) = @_; my $x = Weir->new(files => \%files, conf => "$main error_log stderr; events { } http { server { listen 127.0.0.1:%%PORT_0%% ssl; $lines } }")->expect_log(qr/\[emerg\]/); my ($code, $said) = $x->t_binary; return $said }
my $data = 'data:' . $pem->read('ec.key');
like(complaint('ssl_key_isolation on;', "ssl_certificate ec.pem; ssl_certificate_key \"$data\";"), qr/\[emerg\].*"ssl_certificate_key" holds a key, as all processes would.*:\d+/, 'a key in the configuration');
like(complaint('ssl_key_isolation on;', 'ssl_certificate ec.pem; ssl_certificate_key $ssl_server_name.key;'), qr/\[emerg\].*"ssl_certificate_key" names a key with variables.*:\d+/, 'a key that a worker would read');
my $acme = 'acme_certificate a a.test; ssl_certificate $acme_certificate; ssl_certificate_key $acme_certificate_key; } acme_issuer a { uri https://127.0.0.1/dir; accept_terms_of_service;';
like(complaint('ssl_key_isolation on;', $acme), qr/\[emerg\] "acme_certificate" cannot be used with "ssl_key_isolation".*:\d+/, 'a key of ACME');
like(complaint('ssl_key_isolation on; master_process off;', 'ssl_certificate ec.pem; ssl_certificate_key ec.key;'), qr/\[emerg\].*needs a process for the keys/, 'no processes');
like(complaint('ssl_key_isolation on;', 'ssl_certificate ec.pem; ssl_certificate_key client.key;'), qr/\[emerg\].*key values mismatch/, 'a key of another certificate');
done_testing;
