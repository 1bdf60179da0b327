# add_header, add_trailer, expires: as nginx, and what nginx 1.22 has not.
use lib 't/lib';
use Weir;

my %files = ('html/a.html' => "<html>\n", 'html/b.txt' => 'text');
my $places = <<'EOC';
events { }
http {
    add_header X-Outer outer;
    map $arg_e $expires { default off; day 1d; at @3h; bad nothing; epoch epoch; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location /in/ { alias %%TESTDIR%%/html/; }
        location /own/ { alias %%TESTDIR%%/html/; add_header X-Own "$uri $sent_http_content_type"; add_header X-Empty "$arg_none"; }
        location /always/ { alias %%TESTDIR%%/html/; add_header X-Always a always; add_header X-Safe s; }
        location /tags/ { alias %%TESTDIR%%/html/; add_header ETag '"mine"'; add_header Last-Modified "Mon, 28 Sep 1970 06:00:00 GMT"; add_header Cache-Control public; }
        location /untag/ { alias %%TESTDIR%%/html/; add_header ETag ""; add_header Last-Modified ""; }
        location /if/ { alias %%TESTDIR%%/html/; if ($arg_a) { add_header X-If yes; } }
        location /301 { return 301 /there; }
        location /302 { add_header Set-Cookie a=b; add_header Set-Cookie c=d; return 302 /there; }
        location /500 { return 500; }
        location /201 { return 201 "made"; }
        location /epoch/ { alias %%TESTDIR%%/html/; expires epoch; }
        location /max/ { alias %%TESTDIR%%/html/; expires max; }
        location /off/ { alias %%TESTDIR%%/html/; expires off; }
        location /zero/ { alias %%TESTDIR%%/html/; expires 0; }
        location /past/ { alias %%TESTDIR%%/html/; expires modified -1h; }
        location /minus/ { alias %%TESTDIR%%/html/; expires -1; }
        location /up/ { proxy_pass http://127.0.0.1:%%PORT_0%%/in/; expires modified -1h; add_header ETag '"own"'; }
        location /later/ { alias %%TESTDIR%%/html/; expires modified 100y; }
        location /404/ { expires 1h; return 404; }
        location /var/ { alias %%TESTDIR%%/html/; expires $expires; }
        location /trailer/ { alias %%TESTDIR%%/html/; add_trailer X-Status "$status"; add_trailer X-None ""; }
        location /trailer404/ { alias %%TESTDIR%%/html/; add_trailer X-Always "$status" always; add_trailer X-Safe no; }
    }
}
EOC
my @get = map { ("GET $_" => "GET $_ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") } qw(/in/a.html /in/none /own/a.html /own/none /own/b.txt?none=1
    /always/a.html /always/none /tags/a.html /untag/a.html /if/a.html /if/a.html?a=1 /301 /302 /500 /201 /epoch/a.html /max/a.html /off/a.html
    /past/a.html /404/ /var/a.html /var/a.html?e=bad /var/a.html?e=epoch /trailer/a.html /trailer404/none /trailer404/a.html /up/a.html /up/b.txt /up/none);
push @get, map { ("HEAD $_" => "HEAD $_ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") } qw(/own/a.html /trailer/a.html);
push @get, 'HTTP/1.0 trailer' => "GET /trailer/a.html HTTP/1.0\r\n\r\n";
push @get, '206' => "GET /own/a.html HTTP/1.1\r\nHost: a\r\nConnection: close\r\nRange: bytes=1-2\r\n\r\n";
push @get, '304' => "GET /own/a.html HTTP/1.1\r\nHost: a\r\nConnection: close\r\nIf-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\n";
my $w = Weir->compare($places, \@get, files => \%files);

# Times that run: what is said must agree with Date.
use Time::Local qw(timegm);
my %month;
@month{qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec)} = 0 .. 11;
sub str2time { my ($day, $month, $year, $h, $m, $s) = $_[0] =~ /^\w+, (\d+) (\w+) (\d+) (\d+):(\d+):(\d+) GMT\z/ or die; return timegm($s, $m, $h, $day, $month{$month}, $year) }
sub age { my $m = shift; return str2time($m->header('Expires')) - str2time($m->header('Date')) }
is(age($w->get('/zero/a.html')), 0, 'expires 0');
is($w->get('/zero/a.html')->header('Cache-Control'), 'max-age=0', 'its Cache-Control');
is(age($w->get('/minus/a.html')), -1, 'expires -1');
is($w->get('/minus/a.html')->header('Cache-Control'), 'no-cache', 'its Cache-Control');
is(age($w->get('/var/a.html?e=day')), 86400, 'expires by a variable');
is(str2time($w->get('/later/a.html')->header('Expires')), 1700000000 + 100 * 365 * 86400, 'expires modified');
my $daily = $w->get('/var/a.html?e=at');
my @t = localtime str2time($daily->header('Expires'));
is("@t[2, 1, 0]", '3 0 0', 'expires at a time of day');
is($daily->header('Cache-Control'), 'max-age=' . age($daily), 'its Cache-Control');

for my $bad (['add_header a b sometimes', 'invalid parameter "sometimes"'], ['expires modified @1h', 'daily time cannot be used with "modified" parameter'],
    ['expires @25h', 'daily time value must be less than 24 hours'], ['expires soon', 'invalid value'], ['expires 1h; expires 2h', 'is duplicate']) {
    my $x = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%%; $bad->[0]; } }\n");
    my ($code, $text) = $x->t_binary;
    like($text, qr/\Q$bad->[1]\E/, "$bad->[0] is refused");
}

# Not in nginx 1.22.
my $v = Weir->new(conf => <<'EOC', files => \%files)->start;
events { }
http {
    add_header X-A 1;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location = /a.html { add_header X-B 2; }
        location /merge/ { alias %%TESTDIR%%/html/; add_header_inherit merge; add_header X-B 2;
            location /merge/deep/ { alias %%TESTDIR%%/html/; add_header X-C 3; } location /merge/same/ { alias %%TESTDIR%%/html/; } }
        location /off/ { alias %%TESTDIR%%/html/; add_header_inherit off; location /off/on/ { alias %%TESTDIR%%/html/; add_header_inherit on; } }
        location /own/ { alias %%TESTDIR%%/html/; add_header_inherit off; add_header X-B 2; location /own/deep/ { alias %%TESTDIR%%/html/; } location /own/more/ { expires 1h; } }
        location /trailers/ { alias %%TESTDIR%%/html/; add_trailer T-A 1; location /trailers/m/ { alias %%TESTDIR%%/html/; add_trailer_inherit merge; add_trailer T-B 2; } }
    }
}
EOC
sub added { return join ' ', map { $_->[0] } grep { $_->[0] =~ /^X-/ } @{ $v->get(shift)->headers } }
is(added('/b.txt'), 'X-A', 'from outside');
is(added('/a.html'), 'X-B', 'its own');
is(added('/merge/a.html'), 'X-B X-A', 'merged');
is(added('/merge/deep/a.html'), 'X-C X-B X-A', 'merged twice');
is(added('/merge/same/a.html'), 'X-B X-A', 'as around it');
is(added('/off/a.html'), '', 'off');
is(added('/off/on/a.html'), '', 'on again: nothing is around it');
is(added('/own/a.html'), 'X-B', 'off: its own');
is(added('/own/deep/a.html'), '', 'off goes on inside');
is(join(' ', map { $_->[0] } @{ $v->get('/trailers/m/a.html')->trailers }), 'T-B T-A', 'trailers merged');
done_testing;
