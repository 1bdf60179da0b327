# Fields that may come once only: a second line is refused as nginx refuses it; others are taken.
use lib 't/lib';
use Weir;

plan(skip_all => 'nginx is not installed') unless -x $Weir::nginx;
my %value = ('If-Modified-Since' => 'Tue, 14 Nov 2023 22:13:20 GMT', 'If-Unmodified-Since' => 'Tue, 14 Nov 2023 22:13:20 GMT', Range => 'bytes=0-0',
    'If-Range' => '"x"', 'Content-Range' => 'bytes 0-1/2', Expect => '100-continue', 'Accept-Encoding' => 'gzip', 'User-Agent' => 'a', 'X-Forwarded-For' => '::1');
my @requests = map {
    my $v = $value{$_} // '"x"';
    ("two $_" => "GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n$_: $v\r\n$_: $v\r\n\r\n");
} qw(If-Modified-Since If-Unmodified-Since If-Match If-None-Match If-Range Range Content-Range Authorization Expect Referer Content-Type User-Agent Accept-Encoding
    TE Upgrade Via Keep-Alive X-Forwarded-For Cookie Accept Accept-Language Depth Destination Overwrite Date X-Other);
Weir->compare(<<'EOC', \@requests, files => { 'html/a.txt' => "A\n" });
events { }
http { server { listen 127.0.0.1:%%PORT_0%%; root %%TESTDIR%%/html; } }
EOC
done_testing;
