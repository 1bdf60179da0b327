package Weir::Pebble;
# Debian's pebble, an ACME server for tests, and the names that it resolves: all are 127.0.0.1.
#
#   my $ca = Weir::Pebble->new(http => port, tls => port, validity => seconds, bind => { kid => key }, env => { PEBBLE_… => … })->start;
#
# It refuses one nonce in three on purpose. Where it checks names: http, tls.
#
#   uri     of its directory          trusted    file: who signed its own certificate
#   said(qr/…/)  how often its log says so        stop start(forgets everything)   root   its certificate, PEM
use strict;
use warnings;
use JSON;
use POSIX ();
use Weir::Pem;

my (@all, $names, $names_pid);

sub run {
    my ($log, $env, @command) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    POSIX::setsid();
    open STDIN, '<', '/dev/null';
    open STDOUT, '>>', $log;
    open STDERR, '>&', \*STDOUT;
    $ENV{$_} = $env->{$_} for keys %$env;
    exec @command or POSIX::_exit(127);
}

sub names {     # a DNS server for everybody
    return $names if $names;
    my $port = Weir::free_port();
    my $log = Weir::scratch() . '/names.log';
    $names_pid = run($log, {}, 'pebble-challtestsrv', '-dns01', "127.0.0.1:$port", '-http01', '', '-https01', '', '-tlsalpn01', '', '-management', '127.0.0.1:' . Weir::free_port(), '-defaultIPv6', '');
    Weir::wait_for(sub { Weir::slurp('/proc/net/udp') =~ /:@{[sprintf '%04X', $port]} / }, 10) or die 'no DNS server: ' . Weir::slurp($log);
    return $names = "127.0.0.1:$port";
}

sub there { return grep { -x "$_/pebble" } split /:/, $ENV{PATH} }

sub new {
    my ($class, %o) = @_;
    my $self = bless { %o, port => Weir::free_port(), manage => Weir::free_port() }, $class;
    $self->{dir} = Weir::scratch() . "/pebble-$self->{port}";
    my $pem = $self->{pem} = Weir::Pem->new($self->{dir})->ca('minica')->issue('pebble', by => 'minica', names => ['127.0.0.1', 'localhost']);
    my %conf = (listenAddress => "127.0.0.1:$self->{port}", managementListenAddress => "127.0.0.1:$self->{manage}", certificate => $pem->file('pebble.pem'), privateKey => $pem->file('pebble.key'),
        httpPort => 0 + ($o{http} // 1), tlsPort => 0 + ($o{tls} // 1), ocspResponderURL => '', externalAccountBindingRequired => $o{bind} ? JSON::true : JSON::false, externalAccountMACKeys => $o{bind} // {},
        $o{validity} ? (certificateValidityPeriod => $o{validity}) : ());
    $pem->write('pebble.json', encode_json({ pebble => \%conf }));
    chmod 0755, $self->{dir};
    push @all, $self;
    return $self;
}

sub start {
    my $self = shift;
    my $log = $self->log_file;
    $self->{pid} = run($log, { PEBBLE_VA_NOSLEEP => 1, PEBBLE_WFE_NONCEREJECT => 33, PEBBLE_AUTHZREUSE => 0, %{ $self->{env} // {} } }, 'pebble', '-strict', '-config', "$self->{dir}/pebble.json", '-dnsserver', names());
    Weir::wait_for(sub { Weir::listening("tcp $self->{port}", "tcp $self->{manage}") }, 20) or die 'no pebble: ' . Weir::slurp($log);
    return $self;
}

sub stop {
    my $self = shift;
    kill KILL => $self->{pid} or return $self;
    waitpid $self->{pid}, 0;
    $self->{pid} = 0;
    return $self;
}

sub uri      { return "https://127.0.0.1:$_[0]{port}/dir" }
sub trusted  { return $_[0]{pem}->file('minica.pem') }
sub log_file { return "$_[0]{dir}/pebble.log" }
sub said     { my ($self, $re) = @_; return scalar(() = Weir::slurp($self->log_file) =~ /$re/g) }
sub root     { my ($self, $n) = @_; return scalar `curl -sk https://127.0.0.1:$self->{manage}/roots/@{[$n // 0]}` }

END {
    for (grep { $_->{pid} } @all) { kill KILL => $_->{pid} }
    kill KILL => $names_pid if $names_pid;
}

1;
