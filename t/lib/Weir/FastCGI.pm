package Weir::FastCGI;
# The server's side of FastCGI on a connection of Weir::Backend (connection => 1), as small as can be.
#
#   my $req = Weir::FastCGI::read_request($conn) or return;    { params => {…}, order => [names], stdin => bytes, keep => bool }
#   $conn->send(Weir::FastCGI::records(6, $bytes) . Weir::FastCGI::end());
use strict;
use warnings;

sub read_exactly {
    my ($conn, $n) = @_;
    my $bytes = '';
    while (length $bytes < $n) {
        my $more = $conn->bytes($n - length $bytes);
        return undef unless defined $more && length $more;
        $bytes .= $more;
    }
    return $bytes;
}

sub take_length {
    my $from = shift;
    my $n = unpack 'C', $$from;
    return unpack 'C', substr $$from, 0, 1, '' if $n < 128;
    return unpack('N', substr $$from, 0, 4, '') & 0x7fffffff;
}

sub read_request {
    my $conn = shift;
    my ($params, %r) = ('', stdin => '');
    while (1) {
        my $head = read_exactly($conn, 8) // return undef;
        my ($version, $type, $id, $n, $padding) = unpack 'CCnnC', $head;
        die "FastCGI version $version, request $id\n" unless $version == 1 && $id == 1;
        my $content = $n ? read_exactly($conn, $n) // return undef : '';
        read_exactly($conn, $padding) if $padding;
        if ($type == 1) { my ($role, $flags) = unpack 'nC', $content; die "role $role\n" if $role != 1; $r{keep} = $flags & 1 }
        elsif ($type == 4) { $params .= $content }
        elsif ($type == 5) { last unless $n; $r{stdin} .= $content; $r{pieces}++ }
        else { die "FastCGI record type $type\n" }
    }
    while (length $params) {
        my ($name, $value) = map { take_length(\$params) } 1, 2;
        $name = substr $params, 0, $name, '';
        push @{ $r{order} }, $name;
        $r{params}{$name} = substr $params, 0, $value, '';
    }
    return \%r;
}

# bytes as records of a type, each of at most so many bytes, with padding when asked for
sub records {
    my ($type, $bytes, $most, $padding) = @_;
    my $out = '';
    while (length $bytes) {
        my $piece = substr $bytes, 0, $most // 65535, '';
        $out .= pack('CCnnCC', 1, $type, 1, length $piece, $padding // 0, 0) . $piece . "\0" x ($padding // 0);
    }
    return $out;
}

sub end { return pack('CCnnCC', 1, 6, 1, 0, 0, 0) . pack('CCnnCC', 1, 3, 1, 8, 0, 0) . pack 'NCCCC', 0, 0, 0, 0, 0 }

1;
