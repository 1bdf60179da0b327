package Weir::FakeAcme;
# An ACME server for what a real one does not do: it does not look whether names are ours, or at signatures, and lies where it is told to.
#
#   my $ca = Weir::FakeAcme->new(case => { step => answer, … }, …)
#
# Each case is a server of its own: its directory is uri('case'). Steps: directory nonce account order authorization finalize look
# certificate alternate window. An answer replaces what would be said: a text that is sent as it is ("HTTP/1.1 …"), a hash of members that
# are changed, or a sub of (request, payload, n: how often this step was asked for before) that gives one of these, or undef. Also
#   life => seconds            of its certificates              meta => { … }     of its directory
#   ocsp => url                of the responder that they name
#
#   asked('case', 'step')      payloads, in order      path_of('case', 'step', n)      trusted      file: who signed its own certificate
use strict;
use warnings;
use Fcntl qw(LOCK_EX);
use IO::Socket::SSL ();
use JSON;
use MIME::Base64 qw(decode_base64url encode_base64url);
use POSIX qw(strftime);
use Weir::Backend;
use Weir::Pem;

sub new {
    my ($class, %cases) = @_;
    my $dir = Weir::scratch() . '/fake-' . Weir::free_port();
    my $self = bless { dir => $dir, cases => \%cases, port => Weir::free_port(), pem => Weir::Pem->new($dir) }, $class;
    $self->{pem}->ca('minica')->issue('fake', by => 'minica', names => ['127.0.0.1'])->ca('root');
    $self->{backend} = Weir::Backend->new(sub { $self->answer($_[0]) }, ssl => { SSL_cert_file => "$dir/fake.pem", SSL_key_file => "$dir/fake.key" }, port => $self->{port}, quiet => 1);
    return $self;
}

sub trusted { return $_[0]{pem}->file('minica.pem') }
sub base    { my ($self, $case) = @_; return "https://127.0.0.1:$self->{port}/$case" }
sub uri     { my ($self, $case) = @_; return $self->base($case) . '/directory' }
sub asked   { my ($self, $case, $step) = @_; return map { decode_json($_)->{payload} } grep { length } split /\n/, Weir::slurp("$self->{dir}/$case-$step.log") }

sub path_of { my ($self, $case, $step, $n) = @_; return (map { decode_json($_)->{path} } grep { length } split /\n/, Weir::slurp("$self->{dir}/$case-$step.log"))[$n] }

# Notes the request; how many there were before.
sub note {
    my ($self, $case, $step, $what) = @_;
    open my $io, '+>>', "$self->{dir}/$case-$step.log" or die;
    flock $io, LOCK_EX;
    seek $io, 0, 0;
    my $n = () = <$io>;
    print $io encode_json($what), "\n";
    close $io;
    return $n;
}

sub sign {      # PEM, for a request in DER
    my ($self, $case, $csr, $n) = @_;
    my $name = "$case-$n";
    $self->{pem}->write("$name.csr", "-----BEGIN CERTIFICATE REQUEST-----\n" . join("\n", MIME::Base64::encode_base64($csr, '') =~ /(.{1,64})/g) . "\n-----END CERTIFICATE REQUEST-----\n");
    $self->{pem}->write("$name.conf", "[ca]\ndefault_ca=x\n[x]\ndatabase=$name.index\nserial=$name.serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\ncopy_extensions=copy\nx509_extensions=e\nunique_subject=no\n[p]\ncommonName=optional\n[e]\nauthorityKeyIdentifier=keyid\n" . ($self->{cases}{$case}{ocsp} ? "authorityInfoAccess=OCSP;URI:$self->{cases}{$case}{ocsp}\n" : ''));
    $self->{pem}->write("$name.index", '');
    $self->{pem}->write("$name.serial", sprintf "80%014X\n", 1 + $n * 7919);
    my $time = sub { strftime '%Y%m%d%H%M%SZ', gmtime $_[0] };
    $self->{pem}->openssl(qw(ca -batch -notext -config), "$name.conf", qw(-cert root.pem -keyfile root.key -subj /), '-startdate', $time->(time), '-enddate', $time->(time + ($self->{cases}{$case}{life} // 86400 * 30)), '-in', "$name.csr", '-out', "$name.pem");
    return $self->{pem}->read("$name.pem") . $self->{pem}->read('root.pem');
}

sub usual {
    my ($self, $case, $step, $payload, $n, $path) = @_;
    my $base = $self->base($case);
    my %order = (authorizations => ["$base/authorization"], finalize => "$base/finalize/$n");
    if ($step eq 'directory') { return (200, {}, { newNonce => "$base/nonce", newAccount => "$base/account", newOrder => "$base/order", renewalInfo => "$base/window", meta => $self->{cases}{$case}{meta} // {} }) }
    if ($step eq 'nonce')     { return (200, {}, '') }
    if ($step eq 'account')   { return (201, { Location => "$base/account/1" }, { status => 'valid' }) }
    if ($step eq 'order')     { return (201, { Location => "$base/look/$n" }, { %order, status => 'ready' }) }
    if ($step eq 'finalize')  { $self->{pem}->write("$case-chain-" . ($path =~ /(\d+)$/)[0], $self->sign($case, decode_base64url($payload->{csr}), $path =~ /(\d+)$/)); return (200, {}, { %order, status => 'processing' }) }
    if ($step eq 'look')      { return (200, {}, { %order, status => 'valid', certificate => "$base/certificate/" . ($path =~ /(\d+)$/)[0] }) }
    if ($step eq 'certificate') { return (200, { 'Content-Type' => 'application/pem-certificate-chain' }, $self->{pem}->read("$case-chain-" . ($path =~ /(\d+)$/)[0])) }
    if ($step eq 'authorization') { return (200, {}, { status => 'valid', identifier => { type => 'dns', value => "$case.test" }, challenges => [] }) }
    return (404, {}, { type => 'urn:ietf:params:acme:error:malformed', detail => "no $step" });
}

sub answer {
    my ($self, $r) = @_;
    my ($case, $step) = $r->uri =~ m{^/([\w-]+)/(\w+)} or return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    my $jws = $r->method eq 'POST' ? eval { decode_json($r->body) } : undef;
    my $text = $jws ? decode_base64url($jws->{payload}) : '';
    my $payload = length $text ? decode_json($text) : {};
    my $n = $self->note($case, $step, { payload => $payload, path => $r->uri, header => $jws ? decode_json(decode_base64url($jws->{protected})) : {} });
    my $other = $self->{cases}{$case}{$step};
    $other = $other->($r, $payload, $n) if ref $other eq 'CODE';
    return $other if defined $other && !ref $other;
    my ($status, $fields, $body) = $self->usual($case, $step, $payload, $n, $r->uri);
    ($status, $fields, $body) = @$other if ref $other eq 'ARRAY';
    $body = { %$body, %$other } if ref $other eq 'HASH';
    my %fields = ('Content-Type' => ref $body ? $status < 400 ? 'application/json' : 'application/problem+json' : 'text/plain', ($step =~ /^(directory|window)$/ ? () : ('Replay-Nonce' => "nonce-$n-$$-" . time)), %$fields);
    return [$status, [%fields], ref $body ? encode_json($body) : $body];
}

1;
