# $ssl_ja3, $ssl_ja3_hash, $ssl_ja4 beside fingerprints worked out here from the bytes that clients really sent.
use lib 't/lib';
use Weir;
use Weir::Pem;
use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha256_hex);
use IO::Select;
use IO::Socket::INET;

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('a', by => 'ca', names => ['a.test']);
my $w = Weir->new(vars => { PEM => $pem->{dir} }, conf => <<'EOC')->start;
worker_processes 1;
events { }
http { ssl_certificate %%PEM%%/a.pem; ssl_certificate_key %%PEM%%/a.key; ssl_protocols TLSv1.2 TLSv1.3;
    server { listen 127.0.0.1:%%PORT_0%% ssl; return 200 "$ssl_ja3 $ssl_ja3_hash $ssl_ja4"; }
    server { listen 127.0.0.1:%%PORT_1%%; return 200 "[$ssl_ja3$ssl_ja4]"; } }
EOC

# One connection through here; what the client sent is kept, and given on at most $most bytes at a time.
sub through {
    my ($most, $command) = @_;
    my $door = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die;
    my $port = $door->sockport;
    my $file = Weir::scratch() . '/hello';
    my $pid = fork // die;
    if (!$pid) {
        my $in = $door->accept or Weir::leave(1);
        my $out = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $w->port(0)) or Weir::leave(1);
        setsockopt $out, 6, 1, 1;
        open my $kept, '>:raw', $file or Weir::leave(1);
        my $both = IO::Select->new($in, $out);
        while (my @ready = $both->can_read(10)) {
            for my $s (@ready) {
                sysread($s, my $bytes, 65536) or Weir::leave(0);
                syswrite($in, $bytes), next if $s == $out;
                print $kept $bytes;
                $kept->flush;
                for (my $at = 0; $at < length $bytes; $at += $most) { syswrite $out, substr $bytes, $at, $most }
            }
        }
        Weir::leave(0);
    }
    my $said = $command->($port);
    kill TERM => $pid;
    waitpid $pid, 0;
    return ($said, Weir::slurp($file));
}

# ---- worked out

sub grease { return ($_[0] & 0x0f0f) == 0x0a0a && $_[0] >> 8 == ($_[0] & 255) }
sub real { return grep { !grease($_) } @_ }
sub hello {
    my $bytes = shift;
    my ($type, $length) = (ord $bytes, unpack 'n', substr $bytes, 3, 2);
    my $body = substr $bytes, 9, $length - 4;
    my %h = (version => unpack('n', $body));
    my $at = 34;
    $at += 1 + ord substr $body, $at, 1;
    my $n = unpack 'n', substr $body, $at;
    $h{ciphers} = [unpack 'n*', substr $body, $at + 2, $n];
    $at += 2 + $n;
    $at += 1 + ord substr $body, $at, 1;
    my $rest = substr $body, $at + 2;
    while (length $rest) {
        my ($t, $data) = unpack 'n n/a', $rest;
        push @{ $h{types} }, $t;
        $h{ext}{$t} = $data;
        $rest = substr $rest, 4 + length $data;
    }
    return \%h;
}
sub ja3 {
    my $h = shift;
    return join ',', $h->{version}, map { join '-', @$_ } [real(@{ $h->{ciphers} })], [real(@{ $h->{types} })], [real(unpack 'x2n*', $h->{ext}{10} // "\0\0")], [unpack 'xC*', $h->{ext}{11} // "\0"];
}
sub ja4 {
    my $h = shift;
    my ($version) = sort { $b <=> $a } real(defined $h->{ext}{43} ? unpack 'xn*', $h->{ext}{43} : $h->{version});
    my ($alpn) = defined $h->{ext}{16} ? unpack 'x2C/a', $h->{ext}{16} : '';
    my @ciphers = sort map { sprintf '%04x', $_ } real(@{ $h->{ciphers} });
    my @types = real(@{ $h->{types} });
    my $types = join ',', sort map { sprintf '%04x', $_ } grep { $_ != 0 && $_ != 16 } @types;
    $types .= '_' . join ',', map { sprintf '%04x', $_ } unpack 'x2n*', $h->{ext}{13} if defined $h->{ext}{13};
    return sprintf 't%s%s%02d%02d%s_%s_%s', { 0x304 => '13', 0x303 => '12' }->{$version}, defined $h->{ext}{0} ? 'd' : 'i', scalar @ciphers, scalar @types,
        length $alpn ? substr($alpn, 0, 1) . substr($alpn, -1) : '00', substr(sha256_hex(join ',', @ciphers), 0, 12), substr(sha256_hex($types), 0, 12);
}

sub s_client { my @more = @_; return sub { my $port = shift; my $said = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 10 openssl s_client -connect 127.0.0.1:$port -ign_eof @more 2>/dev/null`; return $said =~ /\r\n\r\n(\S+ \S+ t\S{35})/ ? $1 : $said } }
my @clients = (
    ['s_client', s_client('-noservername')], ['s_client with a name', s_client('-servername', 'a.test')], ['TLS 1.2', s_client('-tls1_2', '-servername', 'a.test')],
    ['two protocols above', s_client('-alpn', 'http/1.1,spdy/3')], ['odd schemes, groups and ciphers', s_client('-sigalgs', 'ECDSA+SHA256:RSA-PSS+SHA512', '-groups', 'P-384:P-256', '-cipher', 'ECDHE-ECDSA-CHACHA20-POLY1305')],
    ['another first group: a second hello', s_client('-groups', 'P-521:X25519')],
);
my $curl = sub { my $port = shift; return `curl -sk --max-time 10 https://127.0.0.1:$port/` };
push @clients, ['curl', $curl] if `sh -c 'command -v curl'`;
my %seen;
for my $c (@clients) {
    my ($name, $command) = @$c;
    for my $most (65536, 1) {
        my ($said, $bytes) = through($most, $command);
        my $h = hello($bytes);
        is($said, join(' ', ja3($h), md5_hex(ja3($h)), ja4($h)), $name . ($most == 1 ? ', byte by byte' : ''));
        $seen{ ja3($h) } = 1;
    }
}
is(scalar(keys %seen), scalar(@clients), 'each client has its own');
is($w->get('/', port => 1)->body, '[]', 'without TLS there is none');
done_testing;
