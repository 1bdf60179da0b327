#!/usr/bin/perl
# The variables of http, compared with nginx; where nginx 1.22 is older than what weir follows, against what is documented.
use lib 't/lib';
use Weir;
use MIME::Base64;

my @names = qw(args is_args query_string uri document_uri request_uri request request_method host server_name server_port server_addr scheme https server_protocol
    content_type content_length remote_addr remote_user http_x_one http_x_two http_host http_user_agent http_cookie http_ http_x_none cookie_a cookie_b cookie_ab cookie_none
    arg_a arg_b arg_ab arg_none document_root request_filename realpath_root connection_requests pipe request_completion status body_bytes_sent hostname binary_remote_addr);
my $list = join '|', map { "$_=\${$_}" } @names;
my $port = "listen 127.0.0.1:%%PORT_0%%";

sub request { my ($line, @headers) = @_; return "$line\r\n" . join('', map { "$_\r\n" } @headers) . "\r\n" }
my @list = map { my $u = $_; ("GET $u" => request("GET $u HTTP/1.1", 'Host: site.test', 'Connection: close')) }
    '/', '/?', '/?a=1', '/?a', '/?a=', '/?A=1', '/?ab=2&a=1', '/?xa=2&a=1', '/?a=1&a=2', '/?b=%20&a=%41', '/?a=1=2', '/?&a=1', '/?b=a=3&a=4', '/?a;b=1', '/?a=b?c=d',
    '/x%20y', '/a/../b', '/a//b', '/a/./b/', '/a%2fb', '/a+b', '/%C3%A4?%C3%A4', '/in/x', '/alias/x', '/x.html', '/dir/', '/a;b', '/a%3fb?c', '/a%25', '/?x#frag', '/a/..', '/.../x', '/a/b/../../c?d';
my %heads = (
    'host with port' => [ 'Host: Site.Test:8080' ], 'host in capitals' => [ 'Host: SITE.TEST' ], 'host with dot' => [ 'Host: site.test.' ], 'unknown host' => [ 'Host: other' ],
    'second name' => [ 'Host: second.test' ], 'wildcard' => [ 'Host: a.wild.test' ], 'regex' => [ 'Host: x1.test' ], 'ipv6 host' => [ 'Host: [::1]:80' ],
    'header' => [ 'Host: a', 'X-One: one', 'X-Two: ' ], 'header names' => [ 'Host: a', 'x-ONE: one', 'User-Agent: me' ], 'type' => [ 'Host: a', 'Content-Type: text/x' ],
    'length' => [ 'Host: a', 'Content-Length: 0' ],
    'cookie' => [ 'Host: a', 'Cookie: a=1' ], 'cookies' => [ 'Host: a', 'Cookie: ab=2; a=1; b=3' ], 'cookie spaces' => [ 'Host: a', 'Cookie: a = 1 ;b=  2' ],
    'cookie in capitals' => [ 'Host: a', 'Cookie: A=1; B=2' ], 'cookie comma' => [ 'Host: a', 'Cookie: x=1, a=2' ], 'cookie without value' => [ 'Host: a', 'Cookie: a; b=; ab' ],
    'cookie quoted' => [ 'Host: a', 'Cookie: a="1;2"; b="x"' ], 'cookie twice in a line' => [ 'Host: a', 'Cookie: a=1; a=2' ],
    'user' => [ 'Host: a', 'Authorization: Basic ' . encode_base64('joe:secret', '') ], 'user without password' => [ 'Host: a', 'Authorization: basic ' . encode_base64('joe:', '') ],
    'no colon' => [ 'Host: a', 'Authorization: Basic ' . encode_base64('joe', '') ], 'empty user' => [ 'Host: a', 'Authorization: Basic ' . encode_base64(':x', '') ],
    'not basic' => [ 'Host: a', 'Authorization: Digest x' ], 'bad base64' => [ 'Host: a', 'Authorization: Basic !!!!' ], 'base64 spaces' => [ 'Host: a', 'Authorization: Basic   ' . encode_base64('ann:x', '') ],
    'user of umlauts' => [ 'Host: a', 'Authorization: Basic ' . encode_base64("j\xc3\xb6:x", '') ], 'long user' => [ 'Host: a', 'Authorization: Basic ' . encode_base64('u' x 100 . ':p', '') ],
);
push @list, map { ($_ => request('GET /x HTTP/1.1', 'Connection: close', @{ $heads{$_} })) } sort keys %heads;
push @list, 'HTTP/1.0' => request('GET /x?a=1 HTTP/1.0'), 'HTTP/1.0 with host' => request('GET /x HTTP/1.0', 'Host: site.test'), 'absolute target' => request('GET http://other.test/y?a=1 HTTP/1.1', 'Host: site.test', 'Connection: close'),
    'absolute without path' => request('GET http://other.test HTTP/1.1', 'Host: site.test', 'Connection: close'),
    'absolute with arguments only' => request('GET http://other.test:81?a=1 HTTP/1.1', 'Host: site.test', 'Connection: close'),
    'POST' => request('POST /x HTTP/1.1', 'Host: a', 'Content-Type: text/y', 'Content-Length: 3', 'Connection: close') . 'abc', 'PUT' => request('PUT /x HTTP/1.1', 'Host: a', 'Content-Length: 0', 'Connection: close'),
    'odd method' => request('FOO /x HTTP/1.1', 'Host: a', 'Connection: close'), 'HEAD' => request('HEAD /x HTTP/1.1', 'Host: a', 'Connection: close');

my $conf = <<"EOC";
events { }
http {
    root %%TESTDIR%%/html;
    server {
        $port;
        server_name site.test second.test *.wild.test ~^x(?<digit>\\d)\\.test;
        return 200 "$list|digit=\$digit";
        location /in { root %%TESTDIR%%/in; }
    }
    server { $port; server_name none.test; return 200 other; }
}
EOC
Weir->compare($conf, \@list, files => { 'html/x' => 'x' },
    differ => { 'absolute with arguments only' => '$request_uri is "/?a=1" (RFC 9112 3.2.1), where nginx says "?a=1"' });

# By location, so that root and alias count.
Weir->compare(<<"EOC", [ map { ("GET $_" => request("GET $_ HTTP/1.1", 'Host: a', 'Connection: close')) } qw(/in/x /in/ /alias/x /alias/ /aliasx /re/a/b /var/x /rel/x / /dir/x?a) ], files => { 'html/x' => 'x' });
events { }
http {
    root %%TESTDIR%%/html;
    server {
        $port;
        location / { return 200 "\$document_root|\$request_filename|\$realpath_root"; }
        location /in/ { root %%TESTDIR%%/in; return 200 "\$document_root|\$request_filename|\$realpath_root"; }
        location /alias/ { alias %%TESTDIR%%/html/; return 200 "\$document_root|\$request_filename|\$realpath_root"; }
        location /var/ { root %%TESTDIR%%/\$host; return 200 "\$document_root|\$request_filename|\$realpath_root"; }
        location ~ ^/re/(.)/(.) { alias %%TESTDIR%%/\$1/\$2; return 200 "\$document_root|\$request_filename|\$realpath_root"; }
    }
}
EOC

my $w = Weir->new(conf => <<"EOC")->start;
events { }
http {
    log_format one '\$sent_http_content_type|\$sent_http_content_length|\$sent_http_location|\$sent_http_connection|\$sent_http_x|\$status|\$body_bytes_sent|\$request_completion|\$request_length';
    access_log %%TESTDIR%%/access.log one;
    server {
        $port;
        location /joined { return 200 "\$http_x_one|\$http_cookie|\$cookie_b|\$http_user_agent"; }
        location /port { return 200 "\$request_port\$is_request_port"; }
        location /id { return 200 "\$request_id"; }
        location /time { return 200 "\$msec \$time_iso8601 \$time_iso8601_ms \$time_local \$request_time \$connection_time"; }
        location /conn { return 200 "\$connection \$connection_requests \$pipe \$pid"; }
        location /tcp { return 200 "\$tcpinfo_rtt,\$tcpinfo_rttvar,\$tcpinfo_snd_cwnd,\$tcpinfo_rcv_space \$remote_port"; }
        location /bin { return 200 "\$binary_remote_addr"; }
        location /version { return 200 "\$nginx_version"; }
        location /r { return 301 /elsewhere; }
        location /t.html { return 200 "text"; }
    }
}
EOC
is($w->raw(request('GET /joined HTTP/1.1', 'Host: a', 'X-One: 1', 'Cookie: a=1', 'x-one: 2', 'Cookie: b=2; c=3', 'User-Agent: u', 'X-One: 3'))->body,
   '1, 2, 3|a=1; b=2; c=3|2|u', 'headers that come more than once are joined, cookies in their own way');
is($w->raw(request('GET /port HTTP/1.1', 'Host: a:8080'))->body, '8080:', '$request_port');
is($w->raw(request('GET /port HTTP/1.1', 'Host: a'))->body, '', '$request_port where there is none');
my ($one, $two) = map { $w->get('/id')->body } 1, 2;
like($one, qr/^[0-9a-f]{32}$/, '$request_id');
isnt($one, $two, 'is new each time');
like($w->get('/time')->body, qr{^\d{10}\.\d{3} \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d \d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4} \d\.\d{3} \d\.\d{3}$}, 'times');
my $c = $w->connect;
$c->send(request('GET /conn HTTP/1.1', 'Host: a') x 3);
my @conn = map { $c->response->body } 1 .. 3;
like($conn[0], qr/^\d+ 1 \. \d+$/, 'the first request of a connection');
is_deeply([ map { (split)[1] } @conn ], [ 1, 2, 3 ], '$connection_requests counts');
is_deeply([ map { (split)[2] } @conn ], [ '.', 'p', 'p' ], '$pipe tells pipelined ones');
like($w->get('/tcp')->body, qr/^\d+,\d+,\d+,\d+ \d+$/, 'tcpinfo');
is($w->get('/bin')->body, "\x7f\0\0\1", '$binary_remote_addr');
like($w->get('/version')->body, qr/^\d+\.\d+/, '$nginx_version');
$w->get('/r');
$w->get('/t.html');
wait_for(sub { $w->access_log =~ m{text/(?:html|plain)\|4\|-} });
like($w->access_log, qr{^text/html\|\d+\|http://[^|]*/elsewhere\|[a-z-]+\|-\|301\|\d+\|OK\|\d+$}m, 'what was sent: a redirect');
like($w->access_log, qr{\|4\|-\|[a-z-]+\|-\|200\|4\|OK\|\d+$}m, 'what was sent: a text');
done_testing;
