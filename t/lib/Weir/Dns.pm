package Weir::Dns;
# A DNS server that answers as told, over UDP and TCP.
#   my $d = Weir::Dns->new('www.test A 60 127.0.0.1', …), or ->on(53, …): at that port     $d->addr   $d->zone(lines…) from now on   $d->asked = (lines "udp www.test A")
# Lines: "NAME TYPE TTL DATA…" for A, AAAA, CNAME, SRV (priority weight port target); "NAME RCODE n"; "NAME DROP"; "NAME TC" (not over UDP);
# "NAME OTHER TTL ADDRESS" (an A record of another name). A name that is not there does not exist.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Socket qw(inet_aton inet_pton AF_INET6);

my %number = (A => 1, CNAME => 5, AAAA => 28, SRV => 33);
my @pids;

sub name { join('', map { chr(length) . $_ } split /\./, $_[0]) . "\0" }
sub record { my ($owner, $type, $ttl, $data) = @_; name($owner) . pack('nnNn', $number{$type}, 1, $ttl, length $data) . $data }

sub data {
    my ($type, @d) = @_;
    return inet_aton($d[0]) if $type eq 'A';
    return inet_pton(AF_INET6, $d[0]) if $type eq 'AAAA';
    return name($d[0]) if $type eq 'CNAME';
    return pack('nnn', @d[0 .. 2]) . name($d[3]);
}

sub answer {
    my ($self, $q, $how) = @_;
    my ($id, $at, @labels) = (unpack('n', $q), 12);
    while (my $n = ord substr $q, $at, 1) { push @labels, substr $q, $at + 1, $n; $at += 1 + $n }
    my ($asked, $type) = (lc join('.', @labels), unpack 'n', substr $q, $at + 1, 2);
    my $question = substr $q, 12, $at + 5 - 12;
    my ($letters) = grep { $number{$_} == $type } keys %number;
    open my $log, '>>', "$self->{file}.asked" or die $!;
    syswrite $log, "$how $asked " . ($letters // $type) . "\n";
    close $log;
    open my $in, '<', $self->{file} or die $!;
    my @lines = map { [split] } <$in>;
    my ($rcode, $known, $flags, $want, @out) = (3, 0, 0x8180, $asked);
    for my $line (@lines) {
        my ($owner, $kind, @rest) = @$line;
        next if $owner ne $want;
        return if $kind eq 'DROP';
        $rcode = $kind eq 'RCODE' ? $rest[0] : $rcode == 3 ? 0 : $rcode;
        $flags |= 0x200 if $kind eq 'TC' && $how eq 'udp';
        push @out, record('other.test', 'A', $rest[0], data('A', $rest[1])) if $kind eq 'OTHER' && $type == 1;
        next if !$number{$kind} || ($number{$kind} != $type && $kind ne 'CNAME');
        my $ttl = shift @rest;
        push @out, record($owner, $kind, $ttl, data($kind, @rest));
        $want = $rest[0] if $kind eq 'CNAME';
    }
    @out = () if $flags & 0x200;
    return pack('nnnnnn', $id, $flags | $rcode, 1, scalar @out, 0, 0) . $question . join '', @out;
}

sub serve {
    my ($self, $udp, $tcp) = @_;
    my $select = IO::Select->new($udp, $tcp);
    while (1) {
        for my $s ($select->can_read) {
            if ($s == $udp) {
                my $from = $udp->recv(my $q, 4096) // next;
                my $a = $self->answer($q, 'udp');
                $udp->send($a, 0, $from) if defined $a;
            } else {
                my $c = $tcp->accept or next;
                sysread $c, my $n, 2;
                sysread $c, my $q, unpack 'n', $n;
                my $a = $self->answer($q, 'tcp');
                syswrite $c, pack('n', length $a) . $a if defined $a;
            }
        }
    }
}

sub new { my ($class, @zone) = @_; return $class->on(Weir::free_port(), @zone) }

sub on {
    my ($class, $port, @zone) = @_;
    my $self = bless { port => $port, file => Weir::scratch() . "/zone-$port" }, $class;
    $self->zone(@zone);
    my $udp = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => $port) or die "udp: $!";
    my $tcp = IO::Socket::INET->new(Proto => 'tcp', LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 8, ReuseAddr => 1) or die "tcp: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        $SIG{TERM} = sub { POSIX::_exit(0) };
        eval { $self->serve($udp, $tcp) };
        POSIX::_exit(1);
    }
    push @pids, $self->{pid} = $pid;
    return $self;
}

sub addr { "127.0.0.1:$_[0]{port}" }
sub stop { my $self = shift; kill TERM => $self->{pid}; waitpid $self->{pid}, 0; @pids = grep { $_ != $self->{pid} } @pids }

sub zone {
    my ($self, @lines) = @_;
    open my $out, '>', "$self->{file}.new" or die $!;
    print $out map { "$_\n" } @lines;
    close $out;
    rename "$self->{file}.new", $self->{file};
}

sub asked { my $self = shift; open my $in, '<', "$self->{file}.asked" or return; chomp(my @l = <$in>); @l }

my $owner = $$;
sub END { my $code = $?; if ($$ == $owner) { kill TERM => $_ for @pids; waitpid $_, 0 for @pids } $? = $code }

1;
