# Who may come in: allow, deny, realip; as nginx decides.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $conf = <<'EOC';
events { }
http {
    log_format who '$remote_addr $remote_port $realip_remote_addr $status';
    access_log %%TESTDIR%%/who.log who;
    set_real_ip_from 127.0.0.0/8;
    set_real_ip_from 10.0.0.0/8;
    set_real_ip_from fd00::/8;
    real_ip_header X-Real-IP;
    map $remote_port $port { ~^[1-9]....$ NUMBER; default $remote_port; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location /none/ { }
        location /all/ { deny all; }
        location /open/ { allow all; }
        location /net/ { deny 192.0.2.1; allow 192.0.2.0/24; deny 198.51.100.0/24; allow 2001:db8::/32; deny 2001:db8::1; deny all; }
        location /net/inner/ { }
        location /net/own/ { allow 203.0.113.7; deny all; }
        location /late/ { deny 192.0.2.1; }
        location /mapped/ { allow 192.0.2.0/24; deny ::/0; }
        location /mapped6/ { deny ::ffff:0:0/96; }
        location /unix/ { deny unix:; allow 192.0.2.9; deny all; }
        location /any/ { satisfy any; deny all; }
        location /except/ { limit_except GET { deny all; } }
        location /page/ { deny all; error_page 403 /open/a.html; }
        location /forwarded/ { real_ip_header X-Forwarded-For; allow 192.0.2.0/24; deny all; }
        location /recursive/ { real_ip_header X-Forwarded-For; real_ip_recursive on; allow 192.0.2.0/24; deny all; }
        location /other/ { real_ip_header X-Client; allow 192.0.2.0/24; deny all; }
        location /untrusted/ { set_real_ip_from 10.0.0.0/8; allow 127.0.0.1; deny all; }
        location /say/ { return 200 "$remote_addr $remote_port $realip_remote_addr\n"; }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        root %%TESTDIR%%/html;
        real_ip_header X-Forwarded-For;
        real_ip_recursive on;
        location / { return 200 "$remote_addr|$port|$realip_remote_addr|$binary_remote_addr|$http_x_forwarded_for\n"; }
    }
    server {
        listen 127.0.0.1:%%PORT_2%%;
        set_real_ip_from 192.0.2.1;
        location / { return 200 "$remote_addr|$realip_remote_addr\n"; }
    }
    server {
        listen unix:%%TESTDIR%%/sock;
        set_real_ip_from 10.0.0.0/8;
        root %%TESTDIR%%/html;
        location / { return 200 "$remote_addr|$realip_remote_addr\n"; }
        location /unix/ { deny unix:; }
        location /not/ { deny 127.0.0.1; deny ::/0; }
        location /all/ { deny all; }
    }
}
EOC
my %files = map { ("html/$_/a.html" => "$_\n") } qw(none all open net net/inner net/own late mapped mapped6 unix any except page forwarded recursive other untrusted not);
sub get { my ($uri, @fields) = @_; return "GET $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n" }
sub from { my ($uri, $ip) = @_; return ("$uri from $ip" => get("$uri/a.html", "X-Real-IP: $ip")) }
sub at { my ($port, $what, @fields) = @_; return ("$what @fields" => sub { my $w = shift; my $c = $port =~ /sock/ ? $w->connect(unix => "$w->{dir}/sock") : $w->connect(port => $port); $c->send(get($what, @fields)); return $c->response }) }

my ($n, $w) = Weir->compare($conf, [
    map({ my $uri = $_; map { from($uri, $_) } qw(192.0.2.1 192.0.2.9 198.51.100.3 203.0.113.7 2001:db8::1 2001:db9::1 ::ffff:192.0.2.5 ::ffff:203.0.113.1) }
        qw(/none /all /open /net /net/inner /net/own /late /mapped /mapped6 /unix /any)),
    map({ ("method $_" => "$_ /except/a.html HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n") } qw(GET POST DELETE)),
    'HEAD and limit_except' => "HEAD /except/a.html HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    'an error page where nobody may' => get('/page/a.html'),
    map({ my $uri = $_; map { ("$uri, $_" => get("$uri/a.html", "X-Forwarded-For: $_")) } '192.0.2.1', '203.0.113.1, 192.0.2.1', '192.0.2.1, 203.0.113.1', '192.0.2.1, 10.1.1.1',
        '192.0.2.1:8080', 'rubbish', '192.0.2.1,', '192.0.2.1 ,, ', '[2001:db8::1]:80', 'unix:/x', '*:80', '80', '192.0.2.1:0', '192.0.2.1:99999', '192.0.2.1, rubbish, 10.0.0.1' } qw(/forwarded /recursive)),
    'another field' => get('/other/a.html', 'X-Client: 192.0.2.1', 'X-Client: 203.0.113.1'),
    'another field, any case' => get('/other/a.html', 'x-clIENT: 192.0.2.3'),
    'not trusted' => get('/untrusted/a.html', 'X-Real-IP: 192.0.2.1'),
    map({ at(1, '/', ref $_ ? @$_ : "X-Forwarded-For: $_") } '192.0.2.1', '192.0.2.1, 10.0.0.1', '10.0.0.1, 192.0.2.1:77, 10.0.0.2', '10.0.0.1, 10.0.0.2', 'x, 10.0.0.2', '192.0.2.1,10.0.0.1 10.0.0.2', '2001:db8::5, fd00::1, [fd00::2]:80',
        '', ' , ', '::ffff:192.0.2.1', ['X-Forwarded-For: 192.0.2.1', 'X-Forwarded-For: 10.0.0.1'], ['X-Forwarded-For: 192.0.2.1', 'X-Forwarded-For: 192.0.2.2'],
        ['X-Forwarded-For: 192.0.2.1', 'X-Forwarded-For: '], ['X-Forwarded-For: bad', 'X-Forwarded-For: 10.0.0.9'], ['X-Real-IP: 192.0.2.1']),
    at(2, '/', 'X-Real-IP: 192.0.2.1'),
    at('sock', '/', 'X-Real-IP: 192.0.2.1'), map({ at('sock', "$_/a.html") } qw(/unix /not /all)),
], files => \%files, ignore => ['content-length']);

sub who { my $s = shift; wait_for(sub { ($s->access_log('who.log') =~ tr/\n//) >= 146 }); return join '', sort map { "$_\n" } map { s/^(\S+) \d{5} /$1 PORT /r } split /\n/, $s->access_log('who.log') }
$n->stop; $w->stop;
is(who($w), who($n), 'logs name the same clients');
sub lines { my $s = shift; return join '', sort map { s/^\S+ \S+ //; s/\d+#\d+: \*\d+ //; "$_\n" } grep { /\[error\]/ } split /\n/, $s->error_log =~ s/\Q$s->{dir}\E/DIR/gr }
is(lines($w), lines($n), 'error lines as nginx');

# What is weir's own: Forwarded, host names.
my $own = Weir->new(conf => <<'EOC')->start;
events { }
http {
    set_real_ip_from localhost;
    set_real_ip_from 10.0.0.0/8;
    real_ip_header Forwarded;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { return 200 "$remote_addr|$remote_port"; }
        location /r/ { real_ip_recursive on; return 200 "$remote_addr|$remote_port"; }
    }
    server { listen 127.0.0.1:%%PORT_1%%; real_ip_recursive on; location / { return 200 "$remote_addr|$remote_port"; } }
}
EOC
for (['for=192.0.2.1', '192.0.2.1|'], ['for=192.0.2.1;proto=https;by=1.2.3.4', '192.0.2.1|'], ['proto=https; for="[2001:db8::1]:4711"', '2001:db8::1|4711'], ['For="192.0.2.1:80"', '192.0.2.1|80'],
    ['for=192.0.2.2, for=192.0.2.1', '192.0.2.1|'], ['for=192.0.2.1, for=10.0.0.1', '10.0.0.1|'], ['for=192.0.2.1, for=10.0.0.1', '192.0.2.1|', 1], ['for="192.0.2.9, 1.1.1.1", for=10.0.0.1', '10.0.0.1|', 1],
    ['for=unknown', undef], ['for=_hidden', undef], ['by=192.0.2.1', undef], ['for=192.0.2.1, for=unknown, for=10.0.0.1', '10.0.0.1|', 1], ['', undef]) {
    my ($value, $want, $port) = @$_;
    my $body = $own->get('/', port => $port // 0, headers => [Forwarded => $value])->body;
    if (defined $want) { is($body, $want, "Forwarded: $value" . ($port ? ', recursive' : '')) }
    else { like($body, qr/^127\.0\.0\.1\|\d+$/, "Forwarded: $value: nobody") }
}
for (['allow 1.2.3;', 'invalid parameter "1.2.3"'], ['deny 10.0.0.0/33;', 'invalid parameter "10.0.0.0/33"'], ['allow;', 'invalid number of arguments in "allow" directive'],
    ['set_real_ip_from 1.2.3.4/40;', 'invalid parameter "1.2.3.4/40"'], ['set_real_ip_from no.such.host.invalid;', 'host not found in set_real_ip_from "no.such.host.invalid"']) {
    my ($line, $why) = @$_;
    my $bad = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%%; $line } }\n");
    my ($code, $said) = $bad->t_binary;
    is($code, 1, "$line is refused");
    like($said, qr/\Q$why\E/, $why);
    $bad->expect_log(qr/emerg/);
}

done_testing;
