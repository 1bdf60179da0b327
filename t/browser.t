# Chromium, headless, through the forward proxy: as its proxy, by a PAC file, by SOCKS5; pages of http and https. In networks of its own.
use lib 't/lib';
use Weir::Netns;
use Weir;
use Weir::Pem;

my ($chromium) = grep { -x } map { "/usr/bin/$_" } qw(chromium chromium-browser google-chrome);
plan skip_all => 'no Chromium' unless $chromium;

my $dns = Weir::Netns::dns(map { "$_ A 60 127.0.0.1" } qw(plain.test secure.test ads.test elsewhere.test));
my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('site', by => 'ca', names => [qw(secure.test elsewhere.test)], rsa => 1);
my $page = '<html><body><p id=a>first</p><script>fetch("/data").then(r => r.text()).then(t => { document.getElementById("a").textContent = "page with " + t })</script></body></html>';
my $w = Weir->new(vars => { PEM => $pem->{dir} }, files => { 'site/index.html' => $page, 'site/data' => 'its data', users => "alice:{PLAIN}wonder\n" }, conf => <<'EOC')->start;
events { }
http {
    log_format site '$server_port $scheme $host $uri $status';
    log_format forward '$server_port|$request|$status|$forward_proxy_rule|$forward_proxy_address|$forward_proxy_bytes_up|$forward_proxy_bytes_down|';
    types { text/html html; }
    default_type text/plain;
    access_log %%TESTDIR%%/access.log site;
    server { listen 127.0.0.1:80; root %%TESTDIR%%/site; }
    server { listen 127.0.0.1:443 ssl; ssl_certificate %%PEM%%/site.pem; ssl_certificate_key %%PEM%%/site.key; root %%TESTDIR%%/site; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%% socks;
        access_log %%TESTDIR%%/forward.log forward;
        forward_proxy on;
        forward_proxy_address allow loopback;
        forward_proxy_access deny name=ads host=ads.test;
        forward_proxy_access allow name=tests host=*.test;
        location = /proxy.pac { forward_proxy_pac; }
    }
}
EOC
my $spki = `openssl x509 -in @{[$pem->file('site.pem')]} -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | openssl base64`;
chomp $spki;
my $n = 0;
sub browse {
    my ($url, @how) = @_;
    my $home = $w->dir . '/home' . ++$n;
    mkdir $home;
    local $ENV{HOME} = $home;
    my @command = ($chromium, qw(--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking --disable-component-update --no-first-run --virtual-time-budget=20000),
        "--user-data-dir=$home/data", "--ignore-certificate-errors-spki-list=$spki", @how, '--dump-dom', $url);
    my $said = '';
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) { setpgrp; open STDERR, '>', "$home/err"; exec @command or Weir::leave(127) }
    local $SIG{ALRM} = sub { kill KILL => -$pid };
    alarm 120;
    while (my $l = <$out>) { $said .= $l }
    alarm 0;
    close $out;
    return $said;
}
sub logged { my $want = shift; return wait_for(sub { Weir::slurp($w->dir . '/forward.log') =~ $want }) }

my ($port, $socks) = map { $w->port($_) } 0, 1;
my @proxy = ("--proxy-server=http://127.0.0.1:$port", '--proxy-bypass-list=<-loopback>');
like(browse('http://plain.test/', @proxy), qr/page with its data/, 'http by the proxy');
ok(logged(qr{^$port\|GET http://plain\.test/data HTTP/1\.1\|200\|tests\|127\.0\.0\.1:80\|}m), 'in absolute form');
like(browse('https://secure.test/', @proxy), qr/page with its data/, 'https by the proxy');
ok(logged(qr{^$port\|CONNECT secure\.test:443 HTTP/1\.1\|200\|tests\|127\.0\.0\.1:443\|[1-9]\d*\|[1-9]\d*\|}m), 'through a tunnel');
like(browse('http://ads.test/', @proxy), qr/rule "ads"/, 'what is refused: the page that says so');
unlike(browse('https://ads.test/', @proxy), qr/page with/, 'through a tunnel: nothing of it');
ok(logged(qr{^$port\|CONNECT ads\.test:443 HTTP/1\.1\|403\|ads\|}m), 'refused');
my $before = () = Weir::slurp($w->dir . '/forward.log') =~ /plain\.test\/data/g;
like(browse('http://plain.test/', "--proxy-pac-url=http://127.0.0.1:$port/proxy.pac"), qr/page with its data/, 'http by the PAC file');
ok(wait_for(sub { (() = Weir::slurp($w->dir . '/forward.log') =~ /plain\.test\/data/g) > $before }), 'went through the proxy');
like(browse('https://elsewhere.test/', "--proxy-pac-url=http://127.0.0.1:$port/proxy.pac"), qr/page with its data/, 'https by the PAC file');
ok(logged(qr{^$port\|CONNECT elsewhere\.test:443 HTTP/1\.1\|200\|}m), 'through a tunnel');
like(browse('https://secure.test/', "--proxy-server=socks5://127.0.0.1:$socks", '--proxy-bypass-list=<-loopback>'), qr/page with its data/, 'SOCKS5');
ok(logged(qr{^$socks\|CONNECT secure\.test:443 SOCKS5\|200\|}m), 'in the log');
done_testing;
