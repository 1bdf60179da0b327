package Weir::Compare;
# Weir->compare($conf, [ 'name' => "raw request", … ], files => {}, vars => {}, …): runs $conf under Debian's nginx and
# under weir and sends each request, on a connection of its own, to port 0 of both. Status, headers and body must be the
# same; left out are Server and Date, and names in ignore => [...]. Ports, folders and the server's own name in a value or
# a body count as equal. A request may be a sub that is given the server (Weir) and returns a Weir::Message.
#
# differ => { 'name' => 'reason' } declares a difference that is meant: then there must be one.
# What was compared is counted: in the file that WEIR_PAIRS names, scripts/pairs sums it up.
#
# warm => sub { my $w = shift; … } is called for each server after it has started.
use strict;
use warnings;
use Test::More ();

sub same_words {    # what may differ between two servers that do the same
    my ($text, $w) = @_;
    return undef unless defined $text;
    $text =~ s/\Q$w->{dir}\E/TESTDIR/g;
    for my $n (keys %{ $w->{ports} }) { $text =~ s/\b$w->{ports}{$n}\b/PORT_$n/g }
    $text =~ s{<center>(nginx|weir)(/[0-9.]+)?( \([^)]*\))?</center>}{<center>SERVER</center>}g;
    return $text;
}

sub picture {
    my ($m, $w, $ignore) = @_;
    return '(nothing: the connection was closed)' unless $m;
    my $text = ($m->version // '') . ' ' . $m->status . ' ' . ($m->reason // '') . "\n";
    $text .= join '', sort map { lc($_->[0]) . ': ' . (same_words($_->[1], $w) // '') . "\n" } grep { !$ignore->{ lc $_->[0] } } @{ $m->headers };
    my $body = same_words($m->body, $w);
    # An error page is as long as the server's name.
    $text =~ s/^content-length: .*\n//mi if ($m->body // '') =~ m{<center>(nginx|weir)};
    $text .= 'framing: ' . $m->framing . ($m->complete ? '' : ', cut short') . ($m->error ? ", $m->{error}" : '') . "\n";
    $text .= 'trailer ' . $_->[0] . ': ' . $_->[1] . "\n" for @{ $m->trailers };
    $text .= 'interim ' . $_->status . "\n" for @{ $m->interim };
    return $text . 'body (' . length($body) . "):\n" . (length $body > 2000 ? substr($body, 0, 1000) . '…' . unpack('%32C*', $body) : $body);
}

sub note_pair {
    my ($name, $why) = @_;
    my $file = $ENV{WEIR_PAIRS} or return;
    open my $out, '>>', $file or die "$file: $!\n";
    my $line = join "\t", $0, $name, $why // '';
    $line =~ tr/\n\r/  /;
    print $out "$line\n";
    close $out or die "$file: $!\n";
}

sub run {
    my ($conf, $requests, %o) = @_;
    my %ignore = map { (lc $_ => 1) } qw(server date), @{ delete $o{ignore} // [] };
    my $differ = delete $o{differ} // {};
    my $warm = delete $o{warm};
    my @w = map { Weir->new(%o, conf => $conf, $_ ? (binary => $Weir::nginx) : ())->start } 1, 0;
    if ($warm) { $warm->($_) for @w }
    my @list = @$requests;
    while (my ($name, $bytes) = splice @list, 0, 2) {
        my @seen = map { my $w = $_; picture(ref $bytes ? $bytes->($w) : $w->raw($bytes), $w, \%ignore) } @w;
        note_pair($name, $differ->{$name});
        if (my $why = $differ->{$name}) {
            Test::More::isnt($seen[1], $seen[0], "$name: differs on purpose: $why");
        } else {
            Test::More::is($seen[1], $seen[0], "$name: as nginx");
        }
    }
    return wantarray ? @w : $w[1];
}

1;
