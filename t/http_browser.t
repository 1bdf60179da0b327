# $modern_browser, $ancient_browser, $msie: as nginx decides.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $conf = <<'EOC';
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        modern_browser msie 5.5;
        modern_browser gecko 1.0.0;
        modern_browser opera 9.0;
        modern_browser safari 413;
        modern_browser konqueror 3.0;
        ancient_browser netscape4 Lynx Links;
        location / { return 200 "$modern_browser|$ancient_browser|$msie"; }
        location /unlisted { modern_browser unlisted; modern_browser_value new; ancient_browser_value old; return 200 "$modern_browser|$ancient_browser|$msie"; }
        location /some { modern_browser msie 7; modern_browser unlisted; return 200 "$modern_browser|$ancient_browser|$msie"; }
        location /ancient { ancient_browser Old; modern_browser unlisted; return 200 "$modern_browser|$ancient_browser|$msie"; }
    }
    server { listen 127.0.0.1:%%PORT_1%%; location / { return 200 "$modern_browser|$ancient_browser|$msie"; } }
}
EOC
my @agents = (undef, '', 'x', 'Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)', 'Mozilla/4.0 (compatible; MSIE 5.0; Windows)', 'Mozilla/4.0 (compatible; MSIE 5.5; Windows)', 'Mozilla/4.0 (compatible; MSIE 5.51)', 'Mozilla/4.0 (compatible; MSIE 10.0)', 'Mozilla/4.0 (compatible; MSIE ',
    'Mozilla/5.0 (X11; U; Linux i686; rv:1.8.1) Gecko/2007', 'Mozilla/5.0 (X11; rv:0.9.4) Gecko', 'Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0', 'Opera/9.20 (X11)', 'Opera 8.5', 'Mozilla/4.0 (compatible; MSIE 6.0; X11) Opera 9.10', 'Mozilla/4.0 (compatible; MSIE 6.0; X11) Opera 7.0 [en]',
    'Mozilla/5.0 (Macintosh) AppleWebKit/413 (KHTML, like Gecko) Safari/413', 'Mozilla/5.0 (Macintosh) AppleWebKit/312 Safari/312.6', 'Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Safari/537.36', 'Mozilla/5.0 (compatible; Konqueror/3.5; Linux)', 'Mozilla/5.0 (compatible; Konqueror/2.2)',
    'Mozilla/4.72 [en] (X11)', 'Mozilla/4.72 ', 'Mozilla/5.72 [en] (X11)', 'Mozilla/0.9 [en] (X11)', 'Lynx/2.8', 'ELinks', 'Old thing', 'curl/7.88');
sub ask { my ($uri, $agent) = @_; return "GET $uri HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" . (defined $agent ? "User-Agent: $agent\r\n" : '') . "\r\n" }
Weir->compare($conf, [ map({ my $uri = $_; map { ("$uri " . ($_ // 'nothing') => ask($uri, $_)) } @agents } qw(/ /unlisted /some /ancient)),
    map({ my $a = $_; ('nothing said: ' . ($a // 'nothing') => sub { my $c = $_[0]->connect(port => 1); $c->send(ask('/', $a)); return $c->response }) } @agents) ]);
for (['modern_browser msie x;', 'invalid browser version "x"'], ['modern_browser mosaic 1;', 'unknown browser name "mosaic"']) {
    my ($line, $why) = @$_;
    my $bad = Weir->new(conf => "events { }\nhttp { $line }\n");
    my ($code, $said) = $bad->t_binary;
    is($code, 1, "$line is refused");
    like($said, qr/\Q$why\E/, $why);
    $bad->expect_log(qr/emerg/);
}
done_testing;
