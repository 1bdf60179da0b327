# map, geo, split_clients, sub_filter and charset_map where their forms meet: odd keys, order, captures, nesting; beside nginx.
use lib 't/lib';
use Weir;
use Weir::Compare;

my @keys = ('a', 'A', 'ab', 'AB', 'abc', 'a b', 'a%20b', '', 'default', 'volatile', 'include', '~a', '\\~a', '$x', '"q"', "'q'", 'x.y', '*.y', 'q.x.y', '.y', 'y', 'Y.', 'www.a.b', 'WWW.A.B', 'www.a.c', 'www.', 'a.www', '0', '00', '-1', 'ä', "\xe4", '%', '%%', '{}', 'x;y', 'x#y', 'é' x 40, 'k' x 200, 'longest', 'longer', 'long');
my @regex = ('~^(\w)(\w)?$ "1=$1 2=$2"', '~*^LONG(?<tail>.*)$ "tail=$tail"', '~\.(?<ext>[^.]*)$ "ext=$ext"', '"~x;y" semi', '"~\{\}" braces', '"~^.{100,}" many');
my $conf = <<"EOC";
events { }
http {
    map_hash_max_size 4096;
    map \$arg_k \$plain { default none; a 1; AB 2; "a b" 3; "" empty; \\default 4; \\volatile 5; \\include 6; "\\~a" 7; '\$x' 8; '"q"' 9; 0 zero; -1 minus; é e; % pct; "{}" br; "x;y" semi; "x#y" hash; long l1; longer l2; longest l3; }
    map \$arg_k \$re { @{[join ' ', map { "$_;" } @regex]} default "none of \$arg_k"; }
    map \$arg_k \$hosts { hostnames; default none; x.y exact; *.y below; .b dot; www.* tail; www.a.b full; ~^w regex; }
    map \$arg_k \$nodefault { a 1; }
    map \$arg_k \$vars { default \$plain; a \$re; ~^(?<first>.) "\$first-\$plain-\$nodefault"; }
    map "\$arg_k|\$arg_l" \$two { "a|" onlya; "a|b" both; ~^([^|]*)\\|(.*)\$ "\$2,\$1"; }
    map \$arg_l \$vol { volatile; default d; a 1; }
    map \$plain\$hosts \$chain { ~^1 one; ~none\$ nohost; default "\$plain/\$hosts"; }
    geo \$arg_g \$g { default d; 0.0.0.0/0 all4; 10.0.0.0/8 ten; 10.1.0.0/16 tenone; 10.1.2.3 host; 10.1.2.3/32 host2; 128.0.0.0/1 high; 2001:db8::/32 six; 2001:db8::1/128 sixone; ::/0 all6; 192.0.2.0/25 low; 192.0.2.128/25 "with \\\$ sign"; }
    geo \$arg_g \$r { ranges; default d; 10.0.0.0-10.0.0.9 a; 10.0.0.10-10.0.0.10 b; 10.0.0.11-10.0.1.255 c; 0.0.0.0-0.0.0.0 zero; 255.255.255.0-255.255.255.254 end; delete 10.0.0.5-10.0.0.6; 10.0.0.7-10.0.0.8 e; }
    geo \$gd { default only; }
    geo \$arg_g \$gi { default d; include %%TESTDIR%%/nets; 10.0.0.0/24 after; }
    split_clients \$arg_k \$s1 { 100% all; }
    split_clients "\${arg_k}salt" \$s2 { 0.01% tiny; 49.99% half; * rest; }
    split_clients \$arg_k \$s3 { 10% "v \$host"; 20% ''; 70% c; }
    server { listen 127.0.0.1:%%PORT_0%%; default_type text/plain; location / { return 200 "\$plain|\$re|\$hosts|\$nodefault|\$vars|\$two|\$vol|\$chain|\$tail|\$ext|\$first|\$s1|\$s2|\$s3"; } location /g { return 200 "\$g|\$r|\$gd|\$gi"; } }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        root %%TESTDIR%%/html;
        sub_filter_types *;
        location /a/ { sub_filter_once off; sub_filter a AA; sub_filter aa B; sub_filter aaa C; alias %%TESTDIR%%/html/; }
        location /b/ { sub_filter_once off; sub_filter "\$arg_f" "\$arg_t"; sub_filter xyz "\$uri"; alias %%TESTDIR%%/html/; }
        location /c/ { sub_filter_once on; sub_filter a 1; sub_filter b 2; sub_filter "c d" 3; alias %%TESTDIR%%/html/; }
        location /d/ { sub_filter_once off; sub_filter "\\n" "<br>\\n"; sub_filter '<' '&lt;'; alias %%TESTDIR%%/html/; }
        location /e/ { sub_filter_once off; sub_filter ABCABD x; sub_filter abcabcabd y; sub_filter c z; alias %%TESTDIR%%/html/; }
        location /f/ { sub_filter a ''; sub_filter_once off; sub_filter_last_modified on; add_header X-L "\$sent_http_content_length"; alias %%TESTDIR%%/html/; location /f/in/ { alias %%TESTDIR%%/html/; } location /f/own/ { sub_filter b X; alias %%TESTDIR%%/html/; } }
    }
}
EOC
my %files = (nets => "10.0.0.0/8 inc;\n10.0.0.0/16 'inc 16'; # note\n172.16.0.0/12 z;\n", 'html/t' => "aaaa aaa aa a\nabcabcabd abcabd ABCABCABD\n<a b c d>\nxyz XYZ\n", 'html/empty' => '', 'html/big' => ('aab' x 30000) . 'xyz');
sub esc { return join '', map { /[A-Za-z0-9._~*-]/ ? $_ : sprintf '%%%02X', ord } split //, $_[0] }
sub get { my ($uri, $port) = @_; return ("$uri" . ($port ? " at $port" : '') => sub { $_[0]->raw("GET $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n\r\n", port => $port // 0) }) }
# $arg_ is not decoded: what may stand in a request line stands there as it is.
my @asked = map { my $k = $_; $k =~ /[ \x80-\xff#]/ ? () : $k } @keys;
my @all = (map({ get("/?k=$_") } @asked), map({ get("/?k=$_&l=b") } qw(a ab x.y)), get('/?l=a'), get('/'), map({ get("/?k=" . esc($_)) } @keys), map({ get("/g?g=$_") } qw(10.0.0.0 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.9 10.0.0.10 10.0.0.11 10.0.1.255 10.0.2.0 10.1.0.0 10.1.2.3 10.1.2.4 127.255.255.255 128.0.0.0 192.0.2.127 192.0.2.128 255.255.255.0 255.255.255.255 0.0.0.0 1.1.1.1 172.16.0.1 172.32.0.0
    2001:db8::1 2001:db8::2 2001:db9:: :: ::1 ::ffff:10.1.2.3 ::10.1.2.3 x 10.0.0 10.0.0.300), ''),
    map({ my $l = $_; map { get("/$l/$_", 1) } qw(t empty big) } qw(a b c d e f f/in f/own)), map({ get("/b/t?f=$_&t=[$_]", 1) } qw(a aa ab abc ABC b <), 'a&', 'longer-than-the-text' x 10));
Weir->compare($conf, \@all, files => \%files);
done_testing;
