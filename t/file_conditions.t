# Conditions and ranges on files (RFC 9110 13 and 14), in all combinations, as nginx answers them; and types by extension.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $conf = <<'EOC';
events { }
http {
    types { text/html html htm shtml; text/plain txt; image/png PNG png; application/x-tar tar; font/woff2 woff2; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location /before/ { if_modified_since before; alias %%TESTDIR%%/html/; }
        location /off/ { if_modified_since off; alias %%TESTDIR%%/html/; }
        location /noetag/ { etag off; alias %%TESTDIR%%/html/; }
        location /two/ { max_ranges 2; alias %%TESTDIR%%/html/; }
        location /none/ { max_ranges 0; alias %%TESTDIR%%/html/; }
        location /types/ { types { a/b html; } default_type x/y; alias %%TESTDIR%%/html/; }
        location /notypes/ { types { } default_type application/x-none; alias %%TESTDIR%%/html/; }
    }
}
EOC
my %files = ('html/f.txt' => join('', map { chr(97 + $_ % 26) } 0 .. 999), 'html/one' => '1', 'html/empty' => '', 'html/large' => join('', map { chr(97 + $_ % 23) } 0 .. 299999),
    map { ("html/t/$_" => 't') } qw(a.html a.HTML a.htm a.shtml a.png a.PNG a.tar.gz a.tar a. .html .x.html a.b/c a.unknown noext a.html.txt a~.html), 'sp ace.html', 'd.html/x');

# A message without what is another each time (the boundary) or depends on the server's name (the length of an error page).
sub plain {
    my $bytes = shift;
    return sub {
        my $m = shift->raw($bytes) or return undef;
        my ($b) = ($m->header('Content-Type') // '') =~ /boundary=(\S+)/;
        @{ $m->{headers} } = grep { lc $_->[0] ne 'content-length' } @{ $m->{headers} } if $m->status >= 400 && $bytes =~ /^HEAD/;
        return $m unless $b;
        $_->[1] =~ s/\Q$b\E/BOUNDARY/ for @{ $m->{headers} };
        $m->{body} =~ s/\Q$b\E/BOUNDARY/g;
        $m->{body} = length($b) . ' ' . $m->{body};
        return $m;
    };
}
my %seen;
sub ask {
    my ($method, $uri, @fields) = @_;
    @fields = grep { defined } @fields;
    my $name = "$method $uri " . join('; ', @fields);
    return () if $seen{$name}++;
    return ($name => plain("$method $uri HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n"));
}

my ($etag, $date, $old, $new) = ('"6553f100-3e8"', 'Tue, 14 Nov 2023 22:13:20 GMT', 'Mon, 13 Nov 2023 22:13:20 GMT', 'Wed, 15 Nov 2023 22:13:20 GMT');
my @match = (undef, map { "If-Match: $_" } $etag, '"x"', '*', "W/$etag", qq("x", $etag), qq("x" , W/$etag), '', "$etag,", qq("x$etag), 'x', qq(""), qq("x",,$etag), '"a, b"');
my @none = map { my $x = $_; defined $x ? $x =~ s/Match/None-Match/r : undef } @match;
my @since = (undef, map { "If-Modified-Since: $_" } $date, $old, $new, 'x', '', 'Tue Nov 14 22:13:20 2023', 'Tuesday, 14-Nov-23 22:13:20 GMT', 'Thu, 01 Jan 1970 00:00:00 GMT');
my @unmodified = map { my $x = $_; defined $x ? $x =~ s/Modified/Unmodified/r : undef } @since;
my @if_range = (undef, map { "If-Range: $_" } $etag, "W/$etag", '"x"', $date, $old, $new, '', 'x', '"', '*');
my @range = (undef, map { "Range: $_" } 'bytes=0-9', 'bytes=990-', 'bytes=-10', 'bytes=0-', 'bytes=0-999', 'bytes=0-1000', 'bytes=1000-', 'bytes=999-', 'bytes=-0', 'bytes=-1000', 'bytes=-1001', 'bytes=5-4', 'bytes=', 'bytes=-', 'bytes', 'bytes=a-b', 'bytes=1-2-3',
    'Bytes=0-1', 'bytes= 0-1', 'bytes=0 - 1', 'bytes =0-1', 'bytes=0-1 ', 'bytes=0-1,3-4', 'bytes=0-1, 3-4', 'bytes=0-1 ,3-4', 'bytes=3-4,0-1', 'bytes=0-5,3-9', 'bytes=0-1,1000-', 'bytes=1000-,0-1', 'bytes=1000-,2000-', 'bytes=0-1,,3-4', 'bytes=,0-1', 'bytes=0-1,',
    'bytes=0-499,500-999', 'bytes=0-500,500-999', 'bytes=0-999,0-0', 'bytes=-1,-2,-3', 'bytes=0-0,1-1,2-2', 'bytes=9223372036854775807-', 'bytes=0-9223372036854775807', 'bytes=0-9223372036854775808', 'bytes=0-99999999999999999999', 'bytes=99999999999999999999-', 'bytes=-9223372036854775807',
    'bytes=-99999999999999999999', 'bytes=00-01', 'bytes=+1-2', 'bytes=1-+2', 'bytes=0-1;3-4', 'items=0-1', 'bytes=' . join(',', map { $_ * 3 . '-' . $_ * 3 } 0 .. 99));

my @all;
push @all, map { my $f = $_; map { ask($_ => '/f.txt', $f) } qw(GET HEAD) } @match, @none, @since, @unmodified, @range;
push @all, map { my $r = $_; map { ask(GET => '/f.txt', $r, $_) } @if_range } @range[0 .. 3, 7, 23];
push @all, map { my $l = $_; map { ask(GET => "/$l/f.txt", $_) } @since, @unmodified[0 .. 4], @match[1 .. 4], @none[1 .. 4] } qw(before off noetag);
push @all, map { my $l = $_; map { ask(GET => $l, $_) } @range[1 .. 12, 23, 24, 29, 30] } qw(/one /empty /large /two/f.txt /none/f.txt /missing /noetag/f.txt);
push @all, map { ask(GET => '/large', "Range: bytes=$_") } '1000-250000', '0-0,299999-299999', '100-150000,150001-299999', '299999-,0-';
push @all, map { ask(GET => $_) } map({ "/t/$_" } qw(a.html a.HTML a.htm a.shtml a.png a.PNG a.tar.gz a.tar a. .html .x.html a.b/c a.unknown noext a.html.txt a~.html a.html?x=.png d.html/)), '/types/t/a.html', '/types/t/a.png', '/notypes/t/a.html', '/sp%20ace.html', '/t/a%2ehtml', '/d.html/x', '/d.html';

# And many fields together; always the same ones, by a simple generator.
my $state = 12345;
sub pick { my $list = shift; $state = ($state * 1103515245 + 12345) & 0x7fffffff; return $list->[ ($state >> 8) % @$list ] }
push @all, ask(pick([qw(GET GET GET HEAD)]), pick([qw(/f.txt /f.txt /before/f.txt /off/f.txt /noetag/f.txt /large)]), map { pick([undef, pick($_)]) } \@match, \@none, \@since, \@unmodified, \@if_range, \@range) for 1 .. 300;

Weir->compare($conf, \@all, files => \%files);
done_testing;
