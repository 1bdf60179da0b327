# Listings of folders in all formats, equal to nginx's to the byte; random_index and empty_gif.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $conf = <<'EOC';
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        autoindex on;
        location /html/ { alias %%TESTDIR%%/d/; }
        location /round/ { alias %%TESTDIR%%/d/; autoindex_exact_size off; autoindex_localtime on; }
        location /json/ { alias %%TESTDIR%%/d/; autoindex_format json; }
        location /local/ { alias %%TESTDIR%%/d/; autoindex_format json; autoindex_localtime on; }
        location /jsonp/ { alias %%TESTDIR%%/d/; autoindex_format jsonp; }
        location /xml/ { alias %%TESTDIR%%/d/; autoindex_format xml; }
        location /xmllocal/ { alias %%TESTDIR%%/d/; autoindex_format xml; autoindex_localtime on; }
        location /off/ { alias %%TESTDIR%%/d/; autoindex off; }
        location /index/ { alias %%TESTDIR%%/d/; index none.html a.txt; }
        location /quiet/ { alias %%TESTDIR%%/d/missing/; log_not_found off; }
        location /random/ { alias %%TESTDIR%%/one/; random_index on; }
        location /nothing/ { alias %%TESTDIR%%/d/; random_index on; }
        location = /gif { empty_gif; }
    }
}
EOC

my @names = ('a.txt', 'b&c <x>.txt', 'quo"te.txt', "per%cent'.txt", 'sp ace?x#y', 'back\\slash', "ctl\x01\x1f\x7f.txt", "new\nline\ttab\r", "bad\xff.txt", 'co:lon',
    'x' x 49, 'x' x 50, 'x' x 51, 'y' x 47 . '<&">', 'z' x 120, "\xc3\xbc" x 30, "\xc3\xbc" x 60, "\xe4\xbd\xa0\xe5\xa5\xbd", '~tilde', 'semi;comma,', '[x]{y}|z^`', '.hidden', '-', 'UPPER', 'lower');
my %files = map { ("d/$_" => 'hello') } @names;
$files{'d/empty'} = '';
$files{"d/s$_"} = "\0" x $_ for 1, 999, 1000, 1023, 1024, 9999, 10000, 10239, 10240, 10751, 10752, 1048575, 1048576, 1572863, 1572864;
$files{"d/$_/x"} = 'x' for 'sub', 'di r&', 'u' x 49, 'v' x 50, 'w' x 55;
$files{"html/$_/f"} = 'f' for 'plain', 'a<b>&"c', 'deep/er';
$files{'one/only.txt'} = "only\n";
$files{'one/.dot'} = "dot\n";

sub more {
    my $d = shift->dir;
    for my $size (1024 ** 3 - 1, 1024 ** 3, 1024 ** 3 * 3 / 2, 5 * 1024 ** 3) { open my $f, '>', "$d/d/large$size"; truncate $f, $size; close $f; utime 1700000000, 1700000000, "$d/d/large$size" }
    symlink 'nowhere', "$d/d/dangling";
    symlink 'circle', "$d/d/circle";
    symlink 'a.txt', "$d/d/link";
    symlink 'sub', "$d/d/link-d";
    symlink '/dev/null', "$d/d/device";
    system 'mkfifo', "$d/d/fifo";
    mkdir "$d/html/empty";
    mkdir "$d/one/folder";
    symlink '../a.txt', "$d/html/empty/.x";
    system 'find', $d, qw(-depth -exec touch -h -d @1700000000 {} +);
    system 'touch', '-d', '@1', "$d/d/UPPER";
    system 'touch', '-d', '@4102444800', "$d/d/lower";
}
sub get { my ($uri, @fields) = @_; return "GET $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n" }
sub asks { map { ($_ => get($_)) } @_ }

Weir->compare($conf, [
    asks(qw(/html/ /round/ /json/ /local/ /jsonp/ /xml/ /xmllocal/ /off/ /index/ /quiet/ / /plain/ /plain /empty/ /deep/ /deep/er/ /missing/ /missing/x/ /html/a.txt/ /html/sub/ /a%3Cb%3E&%22c/ /html/?C=N)),
    asks('/jsonp/?callback=f', '/jsonp/?callback=a.b_C9', '/jsonp/?callback=', '/jsonp/?callback=a%2eb', '/jsonp/?x=1&callback=f', '/jsonp/?callback=alert(1)', '/jsonp/?callback=f%3C', '/jsonp/?callback=' . 'f' x 128, '/jsonp/?callback=' . 'f' x 129, '/jsonp/?CALLBACK=f'),
    map({ my $l = $_; ("$l of an empty folder" => get("/$l/sub/../../html/../empty/")) } 'json'),
    'HEAD' => "HEAD /html/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    'POST' => "POST /html/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    'HTTP/1.0' => "GET /html/ HTTP/1.0\r\n\r\n",
    asks('/random/', '/random/?x=1', '/random/only.txt', '/random/folder/', '/random/missing/'),
    'HEAD of any file' => "HEAD /random/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    'POST to any file' => "POST /random/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    asks('/gif', '/gif?x'),
    'HEAD of the picture' => "HEAD /gif HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    'POST to the picture' => "POST /gif HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
    'the picture has not changed' => get('/gif', 'If-Modified-Since: Mon, 28 Sep 1970 06:00:00 GMT'),
    'a range of the picture' => get('/gif', 'Range: bytes=0-3'),
], files => \%files, warm => \&more, env => { TZ => 'Asia/Kolkata' }, globals => 'env TZ; ');

my $w = Weir->new(conf => $conf, files => { map { ("one/$_" => $_) } 'a' .. 'f' })->start;
my %seen;
$seen{ $w->get('/random/')->body }++ for 1 .. 150;
is(join('', sort keys %seen), 'abcdef', 'random_index: each of six files was served in 150 requests');
done_testing;
