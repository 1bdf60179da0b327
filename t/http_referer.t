# $invalid_referer as nginx decides.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $conf = <<'EOC';
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name www.test .dotted.test *.star.test tail.* ~^re\d+\.test$;
        valid_referers none blocked server_names *.example.com other.example.* example.org/galleries/ Mixed.Test/Path .both.test ~\.google\. ~^x\.test/deep;
        location / { return 200 "[$invalid_referer]"; }
        location /own { valid_referers only.test; return 200 "[$invalid_referer]"; }
        location /none { valid_referers none only.test; return 200 "[$invalid_referer]"; }
        location /blocked { valid_referers blocked only.test; return 200 "[$invalid_referer]"; }
        location /if { valid_referers only.test; if ($invalid_referer) { return 403; } return 200 fine; }
    }
    server { listen 127.0.0.1:%%PORT_1%%; location / { return 200 "[$invalid_referer]"; } location /l { valid_referers server_names; return 200 "[$invalid_referer]"; } server_name late.test; }
}
EOC
sub ask { my ($uri, $ref) = @_; return "GET $uri HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" . (defined $ref ? "Referer: $ref\r\n" : '') . "\r\n" }
my @refs = (undef, '', 'http://', 'http://a.b', 'http://i.ru', 'rubbish', 'www.test/without/scheme', 'http://www.test/', 'HTTPS://WWW.TEST', 'http://www.test:8080/x', 'ftp://www.test/xxxx', 'http://a.dotted.test/', 'http://dotted.test/',
    'http://x.star.test', 'http://star.test/', 'http://tail.anything/', 'http://re12.test/', 'http://re.test/abc', 'http://RE7.test', 'http://a.example.com', 'http://example.com/', 'http://other.example.net/x', 'http://example.org/galleries/1',
    'http://example.org/', 'http://example.org', 'http://example.org:80/galleries/', 'http://mixed.test/Path', 'http://mixed.test/path', 'http://both.test', 'http://a.both.test/', 'http://www.google.de/x', 'http://x.test/?q=.google.',
    'http://x.test/deep', 'http://X.test/DEEP', 'http://only.test/', 'http://evil.test/http://www.test/', 'http://' . 'a' x 300 . '.test', 'http://www.test.evil/', 'http://user@www.test/');
Weir->compare($conf, [ map({ my $uri = $_; map { ("$uri " . ($_ // 'nothing') => ask($uri, $_)) } @refs } qw(/ /own /none /blocked /if)),
    map({ my ($uri, $ref) = @$_; ("second: @$_" => sub { my $c = $_[0]->connect(port => 1); $c->send(ask($uri, $ref)); return $c->response }) } ['/', 'http://x.yy/zzz'], ['/l', 'http://late.test/'], ['/l', 'http://other.test/']) ]);
for (['valid_referers none;', 'without any valid referer'], ['valid_referers a.test a.test;', 'conflicting parameter "a.test"'], ['valid_referers ~;', 'empty regex in "~"'], ['valid_referers *.*.test;', 'invalid hostname or wildcard "*.*.test"']) {
    my ($line, $why) = @$_;
    my $bad = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%%; $line } }\n");
    my ($code, $said) = $bad->t_binary;
    is($code, 1, "$line is refused");
    like($said, qr/\Q$why\E/, $why);
    $bad->expect_log(qr/emerg/);
}
done_testing;
