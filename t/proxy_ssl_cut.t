# https:// upstreams whose connection ends at any byte of the handshake, by FIN, half-close or RST, alone or together with the bytes:
# the end is seen at once, never by a timeout.
use lib 't/lib';
use Weir;
use Weir::Pem;
use Socket qw(SOL_SOCKET SO_LINGER);

my $pem = Weir::Pem->new(Weir::scratch() . '/pem')->ca('ca')->issue('localhost', by => 'ca', names => ['localhost'], rsa => 1);
my $tls = Weir->new(vars => { PEM => Weir::scratch() . '/pem' }, conf => <<'EOC')->start;
worker_processes 1;
events { }
http {
    ssl_certificate %%PEM%%/localhost.pem; ssl_certificate_key %%PEM%%/localhost.key; ssl_protocols TLSv1.2 TLSv1.3;
    server { listen 127.0.0.1:%%PORT_0%% ssl; return 200 whole; }
}
EOC
my $plan = Weir::scratch() . '/plan';        # what the next connection is for: "bytes way"
my $flights = Weir::scratch() . '/flights';

# Between weir and the TLS server. Bytes of the server go on up to so many in all; then the connection ends.
my $between = Weir::Backend->new(sub {
    my ($conn) = @_;
    my ($most, $way, $worker) = split ' ', Weir::slurp($plan);
    my ($weir, $server) = ($conn->{sock}, IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $tls->port(0)) // die "no server: $!");
    my ($sent, @flights) = 0;       # where the server's flights end: how much it had said when weir spoke
    while (1) {
        my $bits = '';
        vec($bits, fileno $_, 1) = 1 for $weir, $server;
        select $bits, undef, undef, undef;
        if (vec $bits, fileno $weir, 1) {
            last unless sysread $weir, my $bytes, 65536;
            kill STOP => $worker if $way =~ /together/ && !@flights;       # what it has not read it reads at once
            push @flights, $sent;
            syswrite $server, $bytes;
            next;
        }
        my $n = sysread $server, my $bytes, $most - $sent < 65536 ? $most - $sent : 65536 or last;
        syswrite $weir, $bytes if $way !~ /together/;
        $conn->{held} .= $bytes if $way =~ /together/;
        $sent += $n;
        last if $sent == $most;
    }
    if ($way =~ /together/) { syswrite $weir, $conn->{held} // '' }
    if ($way eq 'whole') { open my $out, '>', "$flights.new" or die; print $out join(" ", grep { $_ > 0 && $_ < $sent } @flights), "\n"; close $out; rename "$flights.new", $flights }
    if ($way =~ /rst/) { setsockopt $weir, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0 }
    if ($way =~ /half/) { shutdown $weir, 1 } else { $conn->close }
    kill CONT => $worker if $way =~ /together/;
    if ($way =~ /half/) { 1 while sysread $weir, my $bytes, 65536 }
}, connection => 1, quiet => 1);

my $w = Weir->new(vars => { TO => $between->addr }, conf => <<'EOC')->start;
worker_processes 1;
events { }
http {
    proxy_ssl_session_reuse off; proxy_set_header Connection close;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        proxy_connect_timeout 200s;
        proxy_read_timeout 200s;
        location /3 { proxy_ssl_protocols TLSv1.3; proxy_pass https://%%TO%%; }
        location /2 { proxy_ssl_protocols TLSv1.2; proxy_pass https://%%TO%%; }
    }
}
EOC
my ($worker) = $w->workers;
sub ask {
    my ($uri, $most, $way) = @_;
    open my $out, '>', $plan or die; print $out "$most $way $worker\n"; close $out;
    my $c = $w->connect(timeout => 100);
    $c->request('GET', $uri);
    return $c;
}

for my $version (3, 2) {
    unlink $flights;
    my $c = ask("/$version", 1e9, 'whole');
    is($c->response->body, 'whole', "TLS 1.$version: a whole answer");
    $c->close;
    ok(wait_for(sub { -e $flights }, 20), 'its flights are known');
    my @ends = split ' ', Weir::slurp($flights);
    ok(@ends && $ends[0] > 500, "the server's flights end at @ends");
    my %at = map { ($_ => 1) } (map { my $e = $_; grep { $_ > 0 } $e - 1, $e } @ends), (map { int($ends[-1] * $_ / 5) || 1 } 0 .. 5), 5, 6;
    for my $way (qw(close half rst close-together half-together rst-together)) {
        # A worker that is stopped says nothing that a second flight could answer.
        my @bytes = grep { $way !~ /together/ || $_ <= $ends[0] } sort { $a <=> $b } keys %at;
        # The last of them may be when weir says that it closes: then it has the answer.
        my @wrong = grep { my $m = eval { ask("/$version", $_, $way)->response }; !$m || !($m->status == 502 || ($_ == $ends[-1] && $m->status == 200 && $m->body eq 'whole')) } @bytes;
        is("@wrong", '', "TLS 1.$version: ended by $way, after any of @bytes bytes: 502 at once");
    }
}
done_testing;
