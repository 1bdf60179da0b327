package Weir::Message;
# An HTTP/1 message as it came: start line, headers in order, body with its framing undone.
#
#   status reason version         of a response        method uri version       of a request
#   headers   [[name, value], …] in order              header(name)   list: all values; scalar: the first
#   body      without chunk framing                    framing        length | chunked | close | none
#   complete  the message's end was seen               trailers       [[name, value], …]
#   interim   1xx responses that came before           head           the head's bytes as they came
use strict;
use warnings;

for my $field (qw(status reason version method uri headers body framing complete trailers interim head error n conn)) {
    no strict 'refs';
    *$field = sub { $_[0]{$field} };
}

sub header {
    my ($self, $name) = @_;
    my @v = map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $self->{headers} };
    return wantarray ? @v : $v[0];
}

sub fields {    # lines to [[name, value], …]
    return [map { /^([^:]*):[ \t]*(.*?)[ \t]*$/ ? [$1, $2] : [$_, undef] } @_];
}

# Reads one message from $io (an object with line(), bytes(n), rest()). kind: request | response; undef when nothing came.
sub read {
    my ($class, $io, $kind, $method) = @_;
    my $self = bless { headers => [], body => '', framing => 'none', complete => 0, trailers => [], interim => [] }, $class;
    my @lines;
    while (defined(my $line = $io->line)) {
        $self->{head} .= $line;
        $line =~ s/\r?\n\z//;
        last if $line eq '' && @lines;
        push @lines, $line;
    }
    return undef unless @lines;
    my $start = shift @lines;
    if ($kind eq 'request') {
        @$self{qw(method uri version)} = $start =~ m{^(\S+) (\S+)(?: HTTP/(\d\.\d))?$};
        $self->{error} = "bad request line: $start" unless defined $self->{method};
    } elsif ($start =~ m{^HTTP/(\d\.\d) (\d\d\d)(?: (.*))?$}) {
        @$self{qw(version status reason)} = ($1, $2, $3);
    } else {        # HTTP/0.9, or nonsense
        @$self{qw(version status framing complete)} = ('0.9', 0, 'close', 1);
        $self->{body} = $self->{head} . $io->rest;
        return $self;
    }
    $self->{headers} = fields(@lines);
    if ($kind eq 'response' && $self->{status} =~ /^1/ && $self->{status} != 101) {
        my $next = $class->read($io, $kind, $method);
        return $self unless $next;
        unshift @{ $next->{interim} }, $self;
        return $next;
    }
    $self->read_body($io, $kind, $method // '');
    return $self;
}

sub read_body {
    my ($self, $io, $kind, $method) = @_;
    if ($kind eq 'response' && ($method eq 'HEAD' || $self->{status} =~ /^(101|204|304)$/ || ($method eq 'CONNECT' && $self->{status} =~ /^2/))) {
        $self->{complete} = 1;
    } elsif (grep { /chunked/i } $self->header('Transfer-Encoding')) {
        $self->{framing} = 'chunked';
        $self->read_chunks($io);
    } elsif (defined(my $n = $self->header('Content-Length'))) {
        $self->{framing} = 'length';
        $self->{body} = $io->bytes($n);
        $self->{complete} = length $self->{body} == $n;
    } elsif ($kind eq 'request') {
        $self->{complete} = 1;
    } else {
        $self->{framing} = 'close';
        $self->{body} = $io->rest;
        $self->{complete} = $io->at_end;
    }
}

sub read_chunks {
    my ($self, $io) = @_;
    while (defined(my $line = $io->line)) {
        $line =~ /^([0-9a-fA-F]+)[ \t]*(;.*)?\r\n\z/ or do { $self->{error} = "bad chunk line: $line"; return };
        my $n = hex $1;
        if ($n == 0) {
            my @trailers;
            while (defined($line = $io->line)) {
                $line =~ s/\r?\n\z//;
                if ($line eq '') { $self->{complete} = 1; $self->{trailers} = fields(@trailers); return }
                push @trailers, $line;
            }
            return;
        }
        my $data = $io->bytes($n);
        $self->{body} .= $data;
        return if length $data < $n;
        my $end = $io->line;
        if (!defined $end || $end ne "\r\n") { $self->{error} = 'chunk without end'; return }
    }
}

1;
