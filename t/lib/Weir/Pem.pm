package Weir::Pem;
# Keys and certificates for tests, by openssl, in one folder.
#
#   my $p = Weir::Pem->new(folder);
#   $p->ca('ca')                                    ca.pem, ca.key: signed by itself
#   $p->issue('leaf', by => 'ca', names => ['a.test'], rsa => 1, days => 1, ca => 1)      leaf.pem, leaf.key
#   $p->crl('ca', 'leaf', …)                        ca.crl: these are revoked
#   $p->encrypt('leaf', 'password')                 leaf.enc: the key under a password
#   $p->serials('ca.index', leaf => 17, bad => -19) what a responder knows: minus: revoked; their certificates anew, with these serials
#   $p->responder(port, by => 'ca', index => 'ca.index', signer => 'ca', days => 7, early => 0)   openssl ocsp; early: seconds that its clock is behind
#   $p->asked(port)                                 how often it was asked
#   $p->file('leaf.pem')                            the path
use strict;
use warnings;
use File::Path qw(make_path);
use POSIX ();

sub new { my ($class, $dir) = @_; make_path($dir); return bless { dir => $dir, serial => 1000 }, $class }
sub file { return "$_[0]{dir}/$_[1]" }

sub openssl {
    my ($self, @words) = @_;
    my $log = $self->file('openssl.log');
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $log;
        open STDERR, '>>', $log;
        chdir $self->{dir};
        exec 'openssl', @words or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    die "openssl @words failed, see $log\n" if $?;
}

sub write { my ($self, $name, $text) = @_; open my $out, '>:raw', $self->file($name) or die; print $out $text; close $out; return $self->file($name) }
sub read { my ($self, $name) = @_; open my $in, '<:raw', $self->file($name) or die; local $/; return scalar <$in> }

sub key {
    my ($self, $name, $rsa) = @_;
    $self->openssl('genpkey', ($rsa ? qw(-algorithm RSA -pkeyopt rsa_keygen_bits:2048) : qw(-algorithm EC -pkeyopt ec_paramgen_curve:P-256)), '-out', "$name.key");
}

sub ca {
    my ($self, $name) = @_;
    $self->key($name);
    $self->openssl(qw(req -x509 -new -days 30 -subj), "/CN=$name", '-key', "$name.key", '-out', "$name.pem");
    return $self;
}

sub issue {
    my ($self, $name, %o) = @_;
    my @names = @{ $o{names} // ["$name.test"] };
    $self->key($name, $o{rsa});
    $self->write("$name.ext", ($o{ca} ? "basicConstraints=critical,CA:TRUE\n" : "basicConstraints=CA:FALSE\n") . 'subjectAltName=' . join(',', map { /^[0-9.]+$/ ? "IP:$_" : "DNS:$_" } @names) . "\n");
    $self->openssl(qw(req -new -subj), "/CN=$name/O=Test", '-key', "$name.key", '-out', "$name.csr");
    $self->openssl(qw(x509 -req -days), $o{days} // 20, '-set_serial', $self->{serial}++, '-in', "$name.csr", '-CA', "$o{by}.pem", '-CAkey', "$o{by}.key", '-extfile', "$name.ext", '-out', "$name.pem");
    return $self;
}

sub reissue {       # the same key and name, with more extensions and a given serial
    my ($self, $name, %o) = @_;
    my $ext = $o{ext} // '';
    my $basic = $o{ca} ? 'critical,CA:TRUE' : 'CA:FALSE';
    $self->write("$name.ext", "basicConstraints=$basic\nsubjectAltName=DNS:$name.test\n" . ($o{url} ? "authorityInfoAccess=OCSP;URI:$o{url}\n" : '') . "$ext\n");
    $self->openssl(qw(x509 -req -days 20 -set_serial), $o{serial}, '-in', "$name.csr", '-CA', "$o{by}.pem", '-CAkey', "$o{by}.key", '-extfile', "$name.ext", '-out', "$name.pem");
    return $self;
}

sub serials {
    my ($self, $index, %serials) = @_;
    $self->write($index, join '', map { my $n = $serials{$_}; sprintf "%s\t301231000000Z\t%s\t%02X\tunknown\t/CN=%s\n", $n < 0 ? ('R', '200101000000Z') : ('V', ''), abs $n, $_ } sort keys %serials);
    return $self;
}

my @responders;
END { kill KILL => @responders if @responders }

sub behind {        # a clock, for a program that is preloaded with it
    my ($self, $seconds) = @_;
    $self->write('behind.c', "#define _GNU_SOURCE\n#include <time.h>\ntime_t time(time_t *t) { struct timespec s; clock_gettime(CLOCK_REALTIME, &s); time_t now = s.tv_sec - $seconds; if (t) *t = now; return now; }\n");
    system('cc', '-shared', '-fPIC', '-o', $self->file('behind.so'), $self->file('behind.c')) == 0 or die "cc failed\n";
    return $self->file('behind.so');
}

sub responder {
    my ($self, $port, %o) = @_;
    my $log = $self->file("responder.$port");
    my $clock = $o{early} ? $self->behind($o{early}) : undef;
    my $signer = $o{signer} // $o{by};
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $log;
        open STDERR, '>&', \*STDOUT;
        chdir $self->{dir};
        $ENV{LD_PRELOAD} = $clock if $clock;
        exec(qw(openssl ocsp -ignore_err -index), $o{index}, '-rsigner', "$signer.pem", '-rkey', "$signer.key", '-CA', "$o{by}.pem", '-port', $port, ($o{days} ? ('-ndays', $o{days}) : ())) or POSIX::_exit(127);
    }
    push @responders, $pid;
    for (1 .. 500) {
        return $pid if -e $log && $self->read("responder.$port") =~ /waiting for OCSP/;
        select undef, undef, undef, 0.02;
    }
    die "no responder at port $port: " . $self->read("responder.$port");
}

sub asked { my ($self, $port) = @_; return scalar(() = $self->read("responder.$port") =~ /Received request/g) }
sub responders_end { kill KILL => splice @responders }

sub crl {
    my ($self, $ca, @revoked) = @_;
    $self->write('index.txt', '');
    $self->write('index.txt.attr', '');
    $self->write('crl.conf', "[ca]\ndefault_ca=x\n[x]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=30\n");
    my @common = ('-config', 'crl.conf', '-cert', "$ca.pem", '-keyfile', "$ca.key");
    $self->openssl('ca', @common, '-revoke', "$_.pem") for @revoked;
    $self->openssl('ca', @common, '-gencrl', '-out', "$ca.crl");
    return $self;
}

sub encrypt {
    my ($self, $name, $password) = @_;
    $self->openssl('pkey', '-in', "$name.key", '-aes128', '-passout', "pass:$password", '-out', "$name.enc");
    return $self;
}

1;
