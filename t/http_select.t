# Which server and which location answers: as nginx, over many hosts and uris.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $conf = <<'EOC';
events { }
http {
    server { listen 127.0.0.1:%%PORT_0%%; server_name first.test; location / { return 200 "first $host $server_name"; } }
    server { listen 127.0.0.1:%%PORT_0%%; server_name exact.test www.exact.test; return 200 "exact"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name *.wild.test; return 200 "wild"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name *.deep.wild.test; return 200 "deep wild"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name .dot.test; return 200 "dot $server_name"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name mail.*; return 200 "mail"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name ~^(?<who>\w+)\.re\.test$; return 200 "regex $who $1"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name ~^re2; return 200 "regex two $server_name"; }
    server { listen 127.0.0.1:%%PORT_0%% default_server; server_name _; return 200 "default"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name "" none.test; return 200 "nameless"; }
    server { listen 127.0.0.1:%%PORT_0%%; server_name exact.test; return 200 "never"; }

    server { listen 127.0.0.1:%%PORT_1%%; server_name ~^(?<sub>.*)\.one$; return 200 "one $sub"; }
    server { listen *:%%PORT_2%%; return 200 "any"; }
    server { listen 127.0.0.2:%%PORT_2%%; return 200 "two"; }
    server { listen 127.0.0.3:%%PORT_2%%; listen 127.0.0.2:%%PORT_2%%; server_name three; return 200 "three"; }
    server { listen 127.0.0.1:%%PORT_3%%; listen unix:%%TESTDIR%%/sock; return 200 "socket"; }

    server {
        listen 127.0.0.1:%%PORT_4%%;
        location / { return 200 "/"; }
        location = / { return 200 "= /"; }
        location /a { return 200 "/a"; }
        location /a/ { return 200 "/a/"; }
        location /a/b { return 200 "/a/b"; }
        location = /a/b { return 200 "= /a/b"; }
        location ^~ /final { return 200 "^~ /final"; }
        location ~ \.php$ { return 200 "php $uri"; }
        location ~* \.JPG$ { return 200 "jpg"; }
        location ~ ^/re/(?<x>\d+)/(\w+) { return 200 "re $x $1 $2"; location ~ z$ { return 200 "inner z"; } }
        location /nest { return 200 "/nest";
            location /nest/in { return 200 "/nest/in"; location ~ x$ { return 200 "/nest/in x"; } location = /nest/in/q { return 200 "= /nest/in/q"; } }
            location ~ x$ { return 200 "/nest x"; }
            location ^~ /nest/fin { return 200 "^~ /nest/fin"; }
            location = /nest/e { return 200 "= /nest/e"; }
        }
        location ~ ^/nest/outer { return 200 "outer regex"; }
        location "/with space" { return 200 "space"; }
        location /%41/ { return 200 "percent"; }
        location /é { return 200 "utf"; }
        location = /only/exact { return 200 "only exact"; }
        location =/tight { return 200 "=/tight"; }
        location ^~/tightfin { return 200 "^~/tightfin"; }
        location ~*tightre { return 200 "tightre"; }
        location /intern { internal; return 200 "intern"; location /intern/in { return 200 "in"; } }
        location /named { error_page 418 = @n; return 418; }
        location @n { return 200 "named $uri"; }
    }
    server { listen 127.0.0.1:%%PORT_5%%; location /x { return 200 "x"; } }
    server { listen 127.0.0.1:%%PORT_6%%; location /e { } location = /q/ { return 200 q; } }
}
EOC
sub get { my ($uri, $host) = @_; return "GET $uri HTTP/1.1\r\nHost: " . ($host // 'h') . "\r\nConnection: close\r\n\r\n" }
sub at { my ($port, $bytes, %o) = @_; return sub { $_[0]->raw($bytes, port => $port, %o) } }

my ($n, $w) = Weir->compare($conf, [
    map({ ("host $_" => get('/', $_)) } qw(first.test FIRST.test first.test:80 first.test. exact.test www.exact.test ww.exact.test a.wild.test a.b.wild.test wild.test deep.wild.test a.deep.wild.test
        dot.test a.dot.test adot.test mail.x mail.x.y mail xmail.x joe.re.test joe.x.re.test re2 re2.test none.test nobody _ 127.0.0.1 [::1] [::1]:80)),
    'no host' => "GET / HTTP/1.0\r\n\r\n",
    'empty host' => "GET / HTTP/1.0\r\nHost:\r\n\r\n",
    'host in the line' => "GET http://exact.test/ HTTP/1.1\r\nHost: first.test\r\nConnection: close\r\n\r\n",
    map({ ("one regex name, $_" => at(1, get('/', $_))) } qw(a.one b)),
    map({ my $a = $_; ("address $a" => at(2, get('/'), addr => $a)) } qw(127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4)),
    'address and name' => at(2, get('/', 'three'), addr => '127.0.0.2'),
    'unix socket' => sub { $_[0]->raw(get('/'), unix => "$_[0]->{dir}/sock") },
    map({ ("uri $_" => at(4, get($_))) } qw(/ /? /b /a /a/ /ab /a/b /a/bc /a/b/ /a/c /final /finals/x.php /x.php /a/x.php /a/b.php /x.jpg /x.JPG /x.Php /re/12/ab /re/12/abz /re/x /nest /nest/in /nest/inx
        /nest/in/x /nest/in/q /nest/in/qx /nest/x /nest/fin/x /nest/e /nest/ex /nest/outer /nest/outer/x /nest/in/x.php /nest/a.php /with%20space /with%20spaces /%2541/ /A/ /%C3%A9 /%c3%a9a /only/exact /only/exactly /only
        /tight /tightx /tightfin/x /xTIGHTREx /intern /intern/in /named //a//b /a/./b /a/../a/b /a/%62)),
    map({ ("no location for / $_" => at(5, get($_))) } qw(/x /y / /xx)),
    map({ ("empty location $_" => at(6, get($_))) } qw(/e /q/ /q /q/a)),
]);
is($w->raw(get('/', 'exact.test'))->body, 'exact', 'exact name');
my @warn = map { s/^.*?\[warn\] [0-9#]+: //r } grep { /\[warn\]/ } split /\n/, $w->error_log . (-f "$w->{dir}/stderr" ? Weir::slurp("$w->{dir}/stderr") : '');
ok(scalar(grep { /conflicting server name "exact.test" on 127.0.0.1:\d+, ignored/ } @warn), 'a name twice is a warning');
done_testing;
