# A private key is nowhere in the memory of master and workers that a core dump would hold; nor do logs or ordinary users see it.
use lib 't/lib';
use Weir;
use Weir::Pem;
no warnings 'portable';

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('a', by => 'ca', names => ['a.test'])->issue('r', by => 'ca', names => ['r.test'], rsa => 1)->encrypt('r', 'secret');
$pem->write('passwords', "secret\n");
$pem->write('ticket', my $ticket = join '', map { chr int rand 256 } 1 .. 80);
chmod 0600, map { $pem->file($_) } qw(a.key r.enc ticket passwords);
my $w = Weir->new(log_level => 'debug', vars => { PEM => $pem->{dir} }, conf => <<'EOC')->start;
worker_processes 1;
events { }
http { ssl_session_cache shared:s:1m; ssl_password_file %%PEM%%/passwords;
    server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate %%PEM%%/a.pem; ssl_certificate_key %%PEM%%/a.key; ssl_certificate %%PEM%%/r.pem; ssl_certificate_key %%PEM%%/r.enc; return 200 ok; } }
EOC
for my $more ([], ['-tls1_2', '-cipher', 'aRSA'], ['-tls1_2', '-cipher', 'aECDSA']) {
    my $to = $w->port(0);
    like(scalar(`printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 10 openssl s_client -connect 127.0.0.1:$to -ign_eof @$more 2>/dev/null`), qr/200 OK/, "a handshake @$more");
}
ok($w->reload, 'a reload, by which the first keys went');

# As OpenSSL's numbers lie in memory (little end first), and as they stand in files.
sub needles {
    my %n;
    my ($ec) = `openssl ec -in $pem->{dir}/a.key -noout -text 2>/dev/null` =~ /priv:\s*((?:[0-9a-f]{2}:?\s*)+)pub/;
    my $rsa = `openssl rsa -in $pem->{dir}/r.key -noout -text 2>/dev/null`;
    my ($d) = $rsa =~ /privateExponent:\s*((?:[0-9a-f]{2}:?\s*)+)/;
    my ($p) = $rsa =~ /prime1:\s*((?:[0-9a-f]{2}:?\s*)+)/;
    for (['ec key', $ec], ['rsa exponent', $d], ['rsa prime', $p]) {
        my ($name, $hex) = @$_;
        $hex =~ s/[^0-9a-f]//g;
        my $bytes = pack 'H*', $hex =~ s/^(00)+//r;
        $n{$name} = $bytes;
        $n{"$name, as a number"} = scalar reverse $bytes;
    }
    my @lines = split /\n/, $pem->read('a.key');
    $n{'a line of the key file'} = $lines[1];
    return %n;
}
my %needles = needles();
sub regions {
    my ($pid) = @_;
    my (@r, $at);
    for (split /\n/, Weir::slurp("/proc/$pid/smaps")) {
        if (/^([0-9a-f]+)-([0-9a-f]+) (r...)/) { push @r, $at = { from => hex $1, to => hex $2 } }
        elsif (/^([0-9a-f]+)-([0-9a-f]+) /) { $at = {} }
        elsif (/^VmFlags:(.*)/) { $at->{dumped} = $1 !~ / dd\b/ }
    }
    return @r;
}
sub looked {
    my ($pid) = @_;
    my (%found, $hidden);
    open my $mem, '<:raw', "/proc/$pid/mem" or return;
    for my $r (regions($pid)) {
        next if $r->{to} - $r->{from} > 1 << 30;       # a sanitizer's own
        sysseek $mem, $r->{from}, 0 or next;
        my $bytes = '';
        1 while $r->{to} - $r->{from} > length $bytes && sysread $mem, $bytes, min($r->{to} - $r->{from} - length $bytes, 1 << 20), length $bytes;
        for my $name (keys %needles) {
            next if index($bytes, $needles{$name}) < 0;
            if ($r->{dumped}) { $found{$name} = 1 } else { $hidden = 1 }
        }
    }
    return ($hidden, sort keys %found);
}
sub min { return $_[0] < $_[1] ? $_[0] : $_[1] }
SKIP: {
    my ($worker) = $w->workers;
    for (['worker', $worker], ['master', $w->pid]) {
        my ($name, $pid) = @$_;
        my ($hidden, @found) = looked($pid);
        skip 'may not look into processes', 2 unless defined $hidden || -r "/proc/$pid/mem";
        ok($hidden, "$name: keys are found where no dump goes: the test can find them");
        is("@found", '', "$name: and nowhere else");
    }
}
my $log = $w->error_log;
unlike($log, qr/secret|PRIVATE|\Q$needles{'a line of the key file'}\E/, 'nor in the log');
done_testing;
