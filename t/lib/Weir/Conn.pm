package Weir::Conn;
# A conversation over one socket, every wait bounded by a deadline (default 10 s for each call).
#
#   send(bytes)                    all of it, or false
#   response(method => 'HEAD')     the next response (Weir::Message), undef when the peer closed or time is over
#   request(method, uri, headers => [name => value, …], body => …, version => '1.1')   sends; Host is added
#   get(uri, …)                    request + response
#   line, bytes(n), rest           raw reading: up to LF; n bytes; up to the end
#   closed(seconds)                the peer has closed (waits for it); what it sent before is in ->rest
#   finish                         no more to send (half close)     close, reset      ends
use strict;
use warnings;
use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF SHUT_WR inet_aton sockaddr_in);
use Time::HiRes ();
use Weir::Message;

sub new {       # sock => a connected socket, or port => …, addr => …, unix => path, ssl => {}, rcvbuf => bytes, timeout => s
    my ($class, %o) = @_;
    my $sock = $o{sock};
    if (!$sock && $o{unix}) {
        $sock = IO::Socket::UNIX->new(Type => Socket::SOCK_STREAM, Peer => $o{unix}) or die "connect to $o{unix}: $!\n";
    } elsif (!$sock) {
        my $addr = $o{addr} // '127.0.0.1';
        require IO::Socket::IP if $addr =~ /:/;
        my $kind = $addr =~ /:/ ? 'IO::Socket::IP' : 'IO::Socket::INET';
        $sock = $kind->new(PeerAddr => $addr, PeerPort => $o{port}, Proto => 'tcp', Timeout => $o{timeout} // 10,
            ($o{from} ? (LocalAddr => $o{from}) : ()),
            ($o{rcvbuf} ? (Sockopts => [[SOL_SOCKET, SO_RCVBUF, pack('i', $o{rcvbuf})]]) : ())) or die "connect to $addr:$o{port}: $@\n";
        setsockopt $sock, SOL_SOCKET, SO_RCVBUF, pack('i', $o{rcvbuf}) if $o{rcvbuf};
    }
    if ($o{ssl}) {
        require IO::Socket::SSL;
        my %ssl = ref $o{ssl} ? %{ $o{ssl} } : ();
        $sock->blocking(1);
        $sock = IO::Socket::SSL->start_SSL($sock, SSL_verify_mode => 0, Timeout => 10, %ssl) or die "TLS: $IO::Socket::SSL::SSL_ERROR\n";
    }
    binmode $sock;
    $sock->blocking(0);
    return bless { sock => $sock, in => '', eof => 0, timeout => $o{timeout} // 10, host => $o{host} // 'localhost', methods => [], ssl => !!$o{ssl} }, $class;
}

sub sock   { $_[0]{sock} }
sub at_end { $_[0]{eof} }
sub deadline { Time::HiRes::time() + $_[0]{timeout} }
sub local_port { $_[0]{sock}->sockport }

sub wait_io {       # until readable (or writable); false: too late
    my ($self, $until, $write) = @_;
    while (1) {
        my $left = $until - Time::HiRes::time();
        return 0 if $left <= 0;
        my $bits = '';
        vec($bits, fileno $self->{sock}, 1) = 1;
        my ($r, $w) = $write ? (undef, $bits) : ($bits, undef);
        my $n = select $r, $w, undef, $left;
        return 1 if $n > 0;
        return 0 if $n < 0 && !$!{EINTR};
    }
}

sub send {
    my ($self, $bytes) = @_;
    push @{ $self->{methods} }, $bytes =~ m{^([A-Z]+) \S+ HTTP/1}mg;
    my $until = $self->deadline;
    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $n = syswrite $self->{sock}, $bytes;
        if (defined $n) { substr($bytes, 0, $n) = ''; next }
        return 0 unless $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
        return 0 unless $self->wait_io($until, 1);
    }
    return 1;
}

sub fill {          # more input; false: the end, an error, or too late
    my ($self, $until) = @_;
    return 0 if $self->{eof};
    while (1) {
        my $n = sysread $self->{sock}, my $more, 65536;
        if ($n) { $self->{in} .= $more; return 1 }
        if (defined $n) { $self->{eof} = 1; return 0 }
        if (!$!{EAGAIN} && !$!{EWOULDBLOCK} && !$!{EINTR}) { $self->{eof} = 1; $self->{error} = "$!"; return 0 }
        return 0 unless $self->wait_io($until);
    }
}

sub line {
    my $self = shift;
    my $until = $self->deadline;
    while ($self->{in} !~ /\n/) { return undef unless $self->fill($until) }
    $self->{in} =~ s/^(.*?\n)//s;
    return $1;
}

sub bytes {
    my ($self, $n) = @_;
    my $until = $self->deadline;
    while (length $self->{in} < $n) { last unless $self->fill($until) }
    return substr $self->{in}, 0, $n, '';
}

sub rest {
    my $self = shift;
    my $until = $self->deadline;
    1 while $self->fill($until);
    my $all = $self->{in};
    $self->{in} = '';
    return $all;
}

sub closed {
    my ($self, $seconds) = @_;
    my $until = Time::HiRes::time() + ($seconds // $self->{timeout});
    1 while $self->fill($until);
    return $self->{eof};
}
sub was_reset { my $e = $_[0]{error} // ''; return $e =~ /reset/i }

sub response {
    my ($self, %o) = @_;
    my $method = $o{method} // shift @{ $self->{methods} };
    return Weir::Message->read($self, 'response', $method);
}

sub request {
    my ($self, $method, $uri, %o) = @_;
    my @headers = @{ $o{headers} // [] };
    my $text = "$method $uri HTTP/" . ($o{version} // '1.1') . "\r\n";
    $text .= 'Host: ' . ($o{host} // $self->{host}) . "\r\n" unless grep { lc eq 'host' } @headers[grep { $_ % 2 == 0 } 0 .. $#headers];
    while (my ($name, $value) = splice @headers, 0, 2) { $text .= "$name: $value\r\n" }
    $text .= 'Content-Length: ' . length($o{body}) . "\r\n" if defined $o{body} && $text !~ /^(content-length|transfer-encoding):/mi;
    return $self->send("$text\r\n" . ($o{body} // ''));
}

sub get { my ($self, $uri, %o) = @_; $self->request($o{method} // 'GET', $uri, %o); return $self->response }

sub finish { my $self = shift; $self->{ssl} ? $self->{sock}->stop_SSL(SSL_no_shutdown => 0) : shutdown $self->{sock}, SHUT_WR }
sub close  { my $self = shift; CORE::close(delete $self->{sock}) if $self->{sock} }
sub reset  { my $self = shift; setsockopt $self->{sock}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0); $self->close }

1;
