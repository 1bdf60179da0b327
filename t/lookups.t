#!/usr/bin/perl
# map, geo and split_clients, compared with nginx.
use lib 't/lib';
use Weir;

sub get { map { my ($uri, @headers) = ref $_ ? @$_ : $_; ("$uri @headers" => "GET $uri HTTP/1.1\r\nHost: site.test\r\n" . join('', map { "$_\r\n" } @headers) . "Connection: close\r\n\r\n") } @_ }

Weir->compare(<<'EOC', [ get(map({ "/?a=$_" } 'a', 'A', 'b', '', 'default', 'hostnames', '~x', '\x', 'v', 'rz', 'RZ', 'qrs', 'QRS', 'x.com', '*.com', 'inc', 'inc2', 'space', 'zz', 'host.test', 'www.host.test', 'HOST.test.', 'pre.x', 'ex'),
events { }
http {
    map $arg_a $x { default d; a 1; B 2; \~x 3; '' empty; \default 4; \hostnames 5; v "$host $uri"; ~^r(.)$ "got $1"; ~*^Q(?<tail>.*) "tail $tail"; *.com no; include %%TESTDIR%%/entries; }
    map $arg_a $h { hostnames; default d; host.test exact; *.host.test below; pre.* tail; ~^e regex; .ex dot; }
    map $arg_a$http_b $two { ab both; a one; ~^(?<p>.)(?<q>.)$ "$q$p"; }
    map $x $chain { 1 first; d none; default "<$x>"; }
    map $arg_c $vol { volatile; ~^(.*)$ "$1!"; }
    map $arg_none $none { '' nothing; default some; }
    server { listen 127.0.0.1:%%PORT_0%%; return 200 "$x|$h|$two|$chain|$vol|$none|$tail|$p"; }
}
EOC
    [ '/?a=a', 'B: b' ], [ '/?a=x', 'B: y' ], '/?c=volatile') ], files => { entries => "inc 6; inc2 '7 \$host';\n" });

my $nets = '10.0.0.0/8 a; 10.0.0.0/30 b; 10.0.0.5 c; 192.168.0.0/16 l; 127.0.0.0/8 lo; 2001:db8::/32 six; ::1 one; 172.16.0.0/12 z; 172.16.5.0/24 y; delete 172.16.5.0/24;';
my @addresses = qw(10.0.0.0 10.0.0.3 10.0.0.4 10.0.0.5 10.255.255.255 11.0.0.0 192.168.5.5 127.0.0.1 172.15.255.255 172.16.0.0 172.16.5.9 172.31.255.255 172.32.0.0 0.0.0.0 255.255.255.255
    ::1 ::2 2001:db8:1::5 2001:db9:: ::ffff:10.0.0.5 junk 10.0.0 10.0.0.5:80 [::1]);
Weir->compare(<<"EOC", [ get(map({ "/?a=$_" } @addresses, ''), map { [ '/', "X-Forwarded-For: $_" ] }
events { }
http {
    geo \$arg_a \$x { default d; $nets }
    geo \$r { ranges; default d; 127.0.0.0-127.0.0.0 x; 127.0.0.1-127.255.255.255 lo; }
    geo \$arg_a \$ra { ranges; default d; 10.0.0.0-10.0.0.20 a; 10.0.0.5-10.0.0.10 b; 172.16.0.0-172.31.255.255 z; 172.20.0.0-172.20.0.0 one; }
    geo \$me { $nets }
    geo \$p { default d; proxy 127.0.0.0/8; proxy 192.168.0.0/16; $nets }
    geo \$pr { default d; proxy_recursive; proxy 127.0.0.0/8; proxy 192.168.0.0/16; $nets }
    server { listen 127.0.0.1:%%PORT_0%%; return 200 "\$x|\$r|\$ra|\$me|\$p|\$pr"; }
}
EOC
    '10.0.0.5', '10.0.0.5, 192.168.1.1', '10.0.0.5,192.168.1.1,127.0.0.1', '192.168.1.1, 10.0.0.1', 'junk', 'junk, 192.168.1.1', '10.0.0.5, junk', '::1', '2001:db8::1, 192.168.0.1', '10.0.0.5:8080', '[::1]:8080', ' 10.0.0.5 , 192.168.1.1 ', '192.168.1.1', '') ]);

Weir->compare(<<'EOC', [ get(map({ "/?a=$_" } '', 'a' .. 'z', map { 'client' . $_ * 7 } 1 .. 40)) ]);
events { }
http {
    split_clients $arg_a $x { 0.5% a; 20% b; 50.25% c; * d; }
    split_clients "$remote_addr$arg_a" $y { 33.3% one; 33.3% two; 33.4% three; }
    split_clients $arg_a $z { 1% few; }
    server { listen 127.0.0.1:%%PORT_0%%; return 200 "$x|$y|$z"; }
}
EOC
done_testing;
