package Weir::Backend;
# A server behind the one under test: a forked process (one more for each connection), told what to answer by a sub.
#
#   my $b = Weir::Backend->new(sub { my ($req, $conn) = @_; return 'hello' });
#   my $b = Weir::Backend->new(sub { … }, port => n, address => a, unix => path, ssl => { SSL_cert_file … }, connection => 1);
#
# The sub is called for each request. $req is a Weir::Message with ->n (nth on this connection, from 1) and ->conn
# (nth connection); its body is read already (unless body => 0 was given). It returns
#   text without "HTTP/" in front   the body of a 200 with Content-Length
#   text that begins with HTTP/     sent as it is; the connection is closed when it says so or has neither length nor chunks
#   [status, [name => value, …], body]
#   undef                           it has sent itself, with $conn->send(…); $conn->close ends the connection
# With connection => 1 it is called once a connection with ($conn, $nth), before anything is read.
#
#   port addr ("127.0.0.1:port" or "unix:path")     connections requests (how many so far)
#   log (["conn", n] or ["req", conn, n, method, uri], in order)      stop (refuses from then on; start: again)
use strict;
use warnings;
use Fcntl qw(O_APPEND O_CREAT O_WRONLY);
use IO::Socket::INET;
use IO::Socket::IP;
use IO::Socket::UNIX;
use Weir::Conn;
use Weir::Message;

my @all;

sub new {
    my ($class, $code, %o) = @_;
    my $self = bless { %o, code => $code, owner => $$ }, $class;
    $self->{port} //= Weir::free_port() unless $self->{unix};
    $self->{log_file} = Weir::scratch() . '/backend-' . ($self->{unix} ? scalar @all : $self->{port}) . '.log';
    $self->start;
    push @all, $self;
    return $self;
}

sub port { $_[0]{port} }
sub addr { $_[0]{unix} ? "unix:$_[0]{unix}" : ($_[0]{address} // '127.0.0.1') . ":$_[0]{port}" }
sub pid  { $_[0]{pid} }

sub start {
    my $self = shift;
    my $listen = $self->{unix}
        ? IO::Socket::UNIX->new(Type => Socket::SOCK_STREAM, Local => $self->{unix}, Listen => 128)
        : ($self->{address} // '') =~ /:/ ? IO::Socket::IP->new(LocalHost => $self->{address}, LocalPort => $self->{port}, Listen => 128, ReuseAddr => 1, V6Only => 1)
        : IO::Socket::INET->new(LocalAddr => $self->{address} // '127.0.0.1', LocalPort => $self->{port}, Listen => $self->{backlog} // 128, ReuseAddr => 1);
    die 'backend on ' . $self->addr . ": $!\n" unless $listen;
    pipe my $life, my $hold or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        close $hold;
        setpgrp;
        $SIG{$_} = 'DEFAULT' for qw(TERM INT);
        $SIG{CHLD} = 'IGNORE';
        eval { $self->serve($listen, $life) };
        print STDERR "# backend: $@" if $@;
        Weir::leave();
    }
    $self->{hold} = $hold;
    $self->{pid} = $pid;
}

# Ends with the test: the pipe that the test holds open closes with it.
sub serve {
    my ($self, $listen, $life) = @_;
    my $nth = 0;
    while (1) {
        my $bits = '';
        vec($bits, fileno $_, 1) = 1 for $listen, $life;
        next if select($bits, undef, undef, undef) < 0;
        if (vec $bits, fileno $life, 1) { kill TERM => -$$; return }
        my $sock = $listen->accept or next;
        $nth++;
        $self->note("conn $nth");
        my $pid = fork // die "fork: $!";
        if ($pid == 0) {
            close $listen;
            close $life;
            $SIG{CHLD} = 'DEFAULT';
            eval { $self->talk($sock, $nth) };
            print STDERR "# backend: $@" if $@ && !$self->{quiet};
            Weir::leave();
        }
    }
}

sub note {
    my ($self, $line) = @_;
    sysopen my $out, $self->{log_file}, O_WRONLY | O_APPEND | O_CREAT or return;
    syswrite $out, "$line\n";
}

sub talk {
    my ($self, $sock, $nth) = @_;
    if ($self->{ssl}) {
        require IO::Socket::SSL;
        $sock = IO::Socket::SSL->start_SSL($sock, SSL_server => 1, %{ $self->{ssl} }) or return;
    }
    my $conn = Weir::Conn->new(sock => $sock, timeout => $self->{timeout} // 60);
    if ($self->{connection}) { $self->{code}->($conn, $nth); return }
    for (my $n = 1; $conn->sock; $n++) {
        my $req = defined $self->{body} && !$self->{body} ? read_head($conn) : Weir::Message->read($conn, 'request');
        return unless $req;
        @$req{qw(n conn)} = ($n, $nth);
        $self->note(join ' ', 'req', $nth, $n, $req->method // '-', $req->uri // '-');
        my $answer = $self->{code}->($req, $conn);
        return unless $self->answer($conn, $req, $answer);
    }
}

sub read_head {
    my $conn = shift;
    my $head = '';
    while (defined(my $line = $conn->line)) { $head .= $line; last if $line =~ /^\r?\n$/ }
    return undef if $head eq '';
    $head =~ s{^(\S+ \S+(?: HTTP/\d\.\d)?)\r?\n}{};
    my %m;
    @m{qw(method uri)} = split / /, $1;
    return bless { %m, head => $head, headers => Weir::Message::fields(split /\r?\n/, $head), body => '' }, 'Weir::Message';
}

sub answer {        # false: the connection ends
    my ($self, $conn, $req, $answer) = @_;
    return $conn->sock if !defined $answer;
    if (ref $answer) {
        my ($status, $headers, $body) = @$answer;
        my @h = @$headers;
        my $text = "HTTP/1.1 $status X\r\n";
        while (my ($name, $value) = splice @h, 0, 2) { $text .= "$name: $value\r\n" }
        $text .= 'Content-Length: ' . length($body // '') . "\r\n" unless $text =~ /^(content-length|transfer-encoding):/mi || $status =~ /^(1|204|304)/;
        $answer = "$text\r\n" . ($body // '');
    } elsif ($answer !~ m{^HTTP/}) {
        $answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " . length($answer) . "\r\n\r\n" . (($req->method // '') eq 'HEAD' ? '' : $answer);
    }
    $conn->send($answer) or return 0;
    my ($head) = $answer =~ /^(.*?\r?\n)\r?\n/s;
    return 0 if !defined $head || $head =~ /^connection:.*close/mi;
    return 0 if ($req->header('Connection') // '') =~ /close/i || (($req->version // '1.0') eq '1.0' && ($req->header('Connection') // '') !~ /keep-alive/i);
    return $head =~ /^(content-length|transfer-encoding):/mi || $head =~ m{^HTTP/1.. (1|204|304)} || ($req->method // '') eq 'HEAD';
}

sub log {
    my $self = shift;
    open my $in, '<', $self->{log_file} or return;
    return map { chomp; [split / /] } <$in>;
}
sub connections { my $self = shift; return scalar grep { $_->[0] eq 'conn' } $self->log }
sub requests    { my $self = shift; return scalar grep { $_->[0] eq 'req' } $self->log }
sub forget      { my $self = shift; unlink $self->{log_file} }

sub stop {
    my $self = shift;
    my $pid = delete $self->{pid} or return;
    return if $self->{owner} != $$;
    kill TERM => -$pid;
    kill TERM => $pid;
    close delete $self->{hold};
    waitpid $pid, 0;
    unlink $self->{unix} if $self->{unix};
}

sub stop_all { $_->stop for @all }

1;
