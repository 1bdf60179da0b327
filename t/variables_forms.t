# Every variable of the http core where uris change on their way: rewritten, redirected, named, of folders, error pages, subrequests, aliases; beside nginx.
use lib 't/lib';
use Weir;
use Weir::Compare;

my @names = qw(args arg_a arg_A arg_b arg_empty content_length content_type cookie_a cookie_B document_root document_uri host hostname http_host http_user_agent http_x_a http_X_A http_none is_args https limit_rate query_string realpath_root remote_addr remote_user
    request request_body request_filename request_method request_uri scheme server_addr server_name server_port server_protocol uri status http_cookie http_via http_accept_encoding http_referer http_x_forwarded_for proxy_protocol_addr realip_remote_addr
    upstream_addr upstream_status invalid_referer body_bytes_sent bytes_sent);
my $dump = join '|', map { "$_=\${$_}" } @names;
my $conf = <<"EOC";
events { }
http {
    types { text/html html; text/plain txt; }
    default_type text/plain;
    log_format l '$dump|\$request_completion|\$sent_http_x_a|\$sent_http_content_type|\$sent_http_location|\$sent_http_connection|\$sent_http_keep_alive|\$sent_http_transfer_encoding|\$sent_http_cache_control|\$sent_http_link|\$sent_http_x_b|\$sent_trailer_x_t|\$request_length';
    access_log %%TESTDIR%%/l.log l;
    map \$uri \$mapped { ~^/m(?<rest>.*)\$ "rest \$rest"; default none; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name first.test ~^(?<sub>.+)\\.re\\.test\$ *.wild.test;
        root %%TESTDIR%%/html;
        index index.txt index.html /d/last.txt;
        valid_referers none server_names;
        location = /d/last.txt { return 200 "last $dump"; }
        location /v { return 200 "$dump|\$sub|\$mapped"; }
        location /m { return 200 "\$mapped \$rest"; }
        location /rw/ { rewrite ^/rw/(.*)\$ /v/\$1?b=2&x; }
        location /rwb/ { rewrite ^/rwb/(.*)\$ /other/\$1 break; add_header X-A "$dump"; }
        location /named/ { try_files /none \@n; }
        location \@n { return 200 "named $dump"; }
        location /err/ { error_page 404 /v/err?c=3; return 404; }
        location /errn/ { error_page 404 = \@n; return 404; }
        location /al/ { alias %%TESTDIR%%/html/d/; add_header X-A "$dump" always; }
        location ~ ^/re/(.+)\$ { alias %%TESTDIR%%/html/d/\$1; add_header X-A "\$1 $dump" always; }
        location = /exact { alias %%TESTDIR%%/html/d/f.txt; add_header X-A "$dump"; }
        location /rootv/ { root %%TESTDIR%%/html/\$arg_a; add_header X-A "$dump" always; }
        location /d/ { add_header X-A "$dump" always; add_header X-B b; }
        location /setargs { set \$args "n=1&\$args"; set \$limit_rate 100k; return 200 "$dump"; }
        location /up/ { proxy_pass http://127.0.0.1:%%PORT_0%%/v/; proxy_set_header Host first.test; proxy_http_version 1.0; add_header X-A "\$upstream_status \$proxy_host \$proxy_port \$proxy_add_x_forwarded_for"; }
        location /ssi/ { ssi on; ssi_types *; return 200 '<!--#include virtual="/v/in?s=1" -->|<!--#include virtual="/d/" -->|<!--#echo var="uri" -->'; }
        location /try/ { try_files \$uri \$uri/index.txt /v\$uri?from=\$uri; }
        location /chunk/ { sub_filter x y; sub_filter_types *; add_trailer X-T "\$uri \$status"; alias %%TESTDIR%%/html/d/; }
        location /auth/ { auth_basic r; auth_basic_user_file %%TESTDIR%%/users; return 200 never; alias %%TESTDIR%%/html/d/; }
    }
    server { listen 127.0.0.1:%%PORT_0%%; server_name ""; location / { return 200 "nameless $dump"; } }
}
EOC
my %files = ('html/d/f.txt' => "f\n", 'html/d/index.txt' => "index\n", 'html/e/x' => 'x', 'html/other/o.txt' => "o\n", 'html/sub/rootv/f.txt' => 'r', 'html/try/f.txt' => 't', 'html/try/d/index.txt' => 'ti', users => "u:{PLAIN}p\n");
sub ask {
    my ($uri, %o) = @_;
    my $method = $o{method} // 'GET';
    my $version = $o{version} // '1.1';
    my @fields = (defined $o{host} ? "Host: $o{host}" : $version eq '1.1' ? 'Host: first.test' : (), @{ $o{fields} // [] }, $version eq '1.1' ? 'Connection: close' : ());
    return ("$method $uri $version " . join('; ', @fields) => "$method $uri HTTP/$version\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n" . ($o{body} // ''));
}
my @uris = (qw(/v /v?a=1 /v?A=1&a=2 /v?a=1&a=2 /v?a /v?a= /v?&a=1& /v?b=x;a=y /v? /v?? /v?a=%20+ /v/%20x /v/%2541 /v//x /v/./y/../z /v/a+b /v/%c3%a9 /v/a;b /m /mx/y /rw/a /rw/a?z=1 /rw/a%3fb /rw/ /rwb/o.txt /rwb/none /named/x?q /err/x?q /errn/x /al/f.txt /al/ /al /al/none /al/../d/f.txt
    /re/f.txt /re/none /exact /rootv/f.txt?a=sub /rootv/f.txt /d/ /d /d/f.txt /d/f.txt?a=1 /e/ /e /setargs?z /setargs /up/x?a=1 /ssi/x?q=1 /try/f.txt /try/d /try/d/ /try/none?z /chunk/f.txt /auth/f.txt /none), 'http://first.test/v', 'http://other.test:81/v?a', 'http://x.re.test', 'http://x.re.test?a=1', 'http://x.re.test/?', '/v#frag', '/v?a#frag', '/v|x', '/v"x', '/v/..', '/../v', '/v%00x', '/v%2e%2e/x');
my @all = (map({ ask($_) } @uris), map({ ask($_, version => '1.0') } qw(/v /d /d/ /al)), map({ ask($_, method => 'HEAD') } qw(/v /d/f.txt /err/x)), map({ ask('/v', host => $_) } 'a.re.test', 'b.wild.test', 'first.test:81', 'FIRST.test', 'first.test.', '', 'other', '[::1]:80', '1.2.3.4', 'a_b', 'a b', 'a/b', ':80', 'first.test:', 'first.test:x'),
    map({ ask('/v', fields => $_) } ['X-A: 1', 'X-A: 2', 'x_a: 3'], ['Cookie: a=1; b=2', 'Cookie: B=3'], ['Cookie: A=1'], ['User-Agent: u', 'Referer: http://first.test/x', 'Via: v', 'Accept-Encoding: gzip', 'X-Forwarded-For: 1.2.3.4', 'X-Forwarded-For: 5.6.7.8'], ['Authorization: Basic dTpw'], ['Authorization: Basic !!'], ['Authorization: basic dTpw'], ['Authorization: Bearer x'], ['Content-Type: a/b', 'Content-Type: c/d'], ['Referer: x'], ['Referer: http://evil.test/'], ['Via: a', 'Via: b'], ['Accept-Encoding: a', 'Accept-Encoding: b'], ['User-Agent: a', 'User-Agent: b']),
    ask('/v', method => 'POST', fields => ['Content-Length: 3', 'Content-Type: t/t'], body => 'abc'), ask('/v', method => 'POST', fields => ['Content-Length: 0']), ask('/v', method => 'PUT', fields => ['Transfer-Encoding: chunked'], body => "3\r\nabc\r\n0\r\n\r\n"), ask('/auth/f.txt', fields => ['Authorization: Basic dTpw']), ask('/auth/f.txt', fields => ['Authorization: Basic dTpx']),
    map({ ask('/v', method => $_) } 'OPTIONS', 'get', 'FOO', 'PROPFIND', 'MKCOL', 'X-Y', 'LOCK'), 'no version' => "GET /v\r\n", 'no version, host' => "GET http://first.test/v\r\n");
sub masked { my $bytes = $_[0]; return sub { my $m = shift->raw($bytes); @{ $m->{headers} } = grep { lc $_->[0] ne 'content-length' } @{ $m->{headers} } if $m && ($bytes =~ /^HEAD/ || ($m->{body} // '') =~ /bytes_sent|document_root/); $m } }
my @list;
while (my ($name, $bytes) = splice @all, 0, 2) { push @list, $name => masked($bytes) }
my ($n, $w) = Weir->compare($conf, \@list, differ => {
    map({ ("GET /v 1.1 Host: first.test; $_->[0]; Connection: close" => $_->[1]) } ['X-A: 1; X-A: 2; x_a: 3', 'several lines of a field are joined, as in nginx from 1.23 on'], map({ ["$_: a; $_: b", 'several lines of a field are joined'] } 'Via', 'Accept-Encoding', 'User-Agent')),
    'GET http://x.re.test?a=1 1.1 Host: first.test; Connection: close' => '$request_uri begins with a slash (RFC 9110 4.2.3)',
    'GET /v 1.1 Host: first.test:x; Connection: close' => 'a port is a number',
    'PUT /v 1.1 Host: first.test; Transfer-Encoding: chunked; Connection: close' => 'of a body that nobody read the length is not known',
}, files => \%files);
$_->stop for $n, $w;
# Without those that differ on purpose, and what depends on the server's name or the connection.
my @l = map {
    my $s = $_;
    my $p = $s->port(0);
    [ sort map { s/\Q$s->{dir}\E/DIR/gr =~ s/\b$p\b/PORT/gr =~ s/\|(body_)?bytes_sent=\d+//gr =~ s/\|\d+$//r =~ s/127\.0\.0\.1:\d+ \d+/ADDR/gr }
        grep { !m{http_host=first\.test:x|request_uri=/\.\./v|/v%00x|request=(?:GET /\.\./v|PUT)|x\.re\.test\?a=1|http_(?:via|accept_encoding|user_agent)=a[|,]|http_x_a=1} } split /\n/, $s->access_log('l.log') ];
} $n, $w;
is(scalar @{ $l[1] }, scalar @{ $l[0] }, 'as many lines as nginx');
my $bad = 0;
for (0 .. $#{ $l[0] }) { is($l[1][$_], $l[0][$_], "log: line $_") if ($l[1][$_] // '') ne $l[0][$_] && $bad++ < 4 }
is($bad, 0, 'log: as nginx');
done_testing;
