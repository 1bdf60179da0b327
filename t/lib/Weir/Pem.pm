package Weir::Pem;
# Keys and certificates for tests, by openssl, in one folder.
#
#   my $p = Weir::Pem->new(folder);
#   $p->ca('ca')                                    ca.pem, ca.key: signed by itself
#   $p->issue('leaf', by => 'ca', names => ['a.test'], rsa => 1, days => 1, ca => 1)      leaf.pem, leaf.key
#   $p->crl('ca', 'leaf', …)                        ca.crl: these are revoked
#   $p->encrypt('leaf', 'password')                 leaf.enc: the key under a password
#   $p->file('leaf.pem')                            the path
use strict;
use warnings;
use File::Path qw(make_path);

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
