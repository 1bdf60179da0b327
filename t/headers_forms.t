# expires in all its forms, add_header and add_trailer by status, name and place, beside nginx.
use lib 't/lib';
use Weir;
use Weir::Compare;
use Time::Local qw(timegm);

my @codes = (200 .. 208, 226, 300 .. 308, 400 .. 418, 421 .. 426, 428, 429, 431, 451, 494 .. 497, 500 .. 508, 510, 511, 599);
my @expires = ('-1', '0', '1', '60s', '1m', '1h', '1h30m', '24h', '1d', '1w', '1M', '1y', '1y1M1w1d1h1m1s', '-1h', '-1d', 'epoch', 'max', 'off', '@0', '@12h', '@15h30m', '@23h59m59s', 'modified 0', 'modified 1h', 'modified -1h', 'modified 10y', 'modified +1h', '$e', 'modified $e', '+1h');
my @dynamic = ('1h', '-1', '0', 'epoch', 'max', 'off', '@3h', '@25h', 'modified 1h', 'x', '1h x', '+1h', '-1h', '1x', '@', '99999999999y', '');
my $n = 0;
my $conf = <<"EOC";
events { }
http {
    types { text/html html; text/plain txt; }
    map \$arg_e \$e { volatile; default \$arg_e; space 'modified 1h'; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
@{[map { $n++; "location /e$n/ { alias %%TESTDIR%%/html/; expires $_; }" } @expires]}
@{[map { "location = /c$_ { expires 1h; add_header X-A a; add_header X-B b always; add_trailer X-T t; add_trailer X-V v always; return $_ " . ($_ =~ /^30[12378]$/ ? '/x' : $_ == 204 || $_ == 304 ? '' : 'text') . "; }" } @codes]}
@{[map { "location = /h$_ { expires 1h; add_header X-A a; add_header X-B b always; return $_; }" } @codes]}
        location /cc/ { alias %%TESTDIR%%/html/; expires 1h; add_header Cache-Control public; add_header Cache-Control "max-age=5" always; add_header Expires never; }
        location /up/ { proxy_pass http://127.0.0.1:%%PORT_0%%/cc/; expires 2h; add_header Cache-Control private; }
        location /upoff/ { proxy_pass http://127.0.0.1:%%PORT_0%%/cc/; expires off; }
        location /upepoch/ { proxy_pass http://127.0.0.1:%%PORT_0%%/cc/; expires epoch; }
        location /names/ { alias %%TESTDIR%%/html/; add_header x-lower 1; add_header X-Lower 2; add_header Vary a; add_header Vary b; add_header Link "</a>; rel=x"; add_header Link "</b>"; add_header Connection x; add_header Content-Length 3; add_header Content-Encoding e; add_header Content-Type t/t; add_header Location /l; add_header Server s; add_header Accept-Ranges none; add_header WWW-Authenticate w; }
        location /value/ { alias %%TESTDIR%%/html/; add_header X-1 "\$arg_a"; add_header X-2 "a\$arg_a"; add_header X-3 ""; add_header X-4 \$http_x; add_header X-5 "\$sent_http_x_2|\$sent_http_etag|\$sent_http_content_length|\$sent_http_last_modified|\$status"; add_header X-6 "\$upstream_status"; }
        location /none/ { alias %%TESTDIR%%/html/; location /none/in/ { add_header X-In in; alias %%TESTDIR%%/html/; location /none/in/e { expires 0; alias %%TESTDIR%%/html/a.html; } } }
        location /if/ { alias %%TESTDIR%%/html/; expires 1h; add_header X-O o; if (\$arg_a) { expires epoch; } if (\$arg_b) { add_header X-I i; } if (\$arg_c) { expires max; add_header X-C c always; add_trailer X-D d; } }
    }
}
EOC
my %month;
@month{qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec)} = 0 .. 11;
sub stamp { my ($day, $month, $year, $h, $m, $s) = $_[0] =~ /^\w+, (\d+)[ -](\w+)[ -](\d+) (\d+):(\d+):(\d+) GMT\z/ or return undef; return timegm($s, $m, $h, $day, $month{$month}, $year) }
# Expires by how far it is from Date; a moment that is not today's, or that a day brings, stands as it is.
sub masked {
    my ($bytes) = @_;
    return sub {
        my $m = shift->raw($bytes) or return undef;
        my $date = stamp($m->header('Date') // '');
        for (@{ $m->headers }) {
            my $at = $_->[0] eq 'Expires' ? stamp($_->[1]) : undef;
            if (defined $at && $date) {
                # By then the second may have turned.
                my ($age) = map { /^max-age=(\d+)$/ ? $1 : () } $m->header('Cache-Control');
                $_->[1] = defined $age && $age == $at - $date ? 'as max-age' : abs($at - $date) < 86400 * 800 ? 'in ' . ($at - $date) : $_->[1];
            }
        }
        for (@{ $m->headers }) { $_->[1] = "max-age=about " . int(($1 + 5) / 20) if $_->[0] eq 'Cache-Control' && $_->[1] =~ /^max-age=(\d{4,})$/ && $1 % 3600 }
        # A page made here is as long as the server's name, which HEAD does not show.
        @{ $m->{headers} } = grep { lc $_->[0] ne 'content-length' } @{ $m->{headers} } if $bytes =~ /^HEAD/;
        return $m;
    };
}
sub ask { my ($uri, @fields) = @_; my $method = @fields && $fields[0] =~ /^[A-Z]+$/ ? shift @fields : 'GET'; return ("$method $uri @fields" => masked("$method $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n")) }
my %files = ('html/a.html' => "<p>a\n", 'html/b.txt' => 'text');
my @dyn = grep { $expires[$_ - 1] =~ /\$/ } 1 .. @expires;
Weir->compare($conf, [
    map({ ask("/e$_/a.html") } 1 .. @expires), map({ my $d = $_; (map { ask("/e$d/a.html?e=" . ($_ =~ s/ /%20/gr)) } @dynamic), ask("/e$d/a.html?e=space"), ask("/e$d/a.html") } @dyn),
    map({ (ask("/c$_"), ask("/h$_")) } @codes), map({ (ask($_), ask($_, 'HEAD')) } qw(/cc/a.html /up/a.html /upoff/a.html /upepoch/a.html /cc/missing /up/missing /names/a.html /names/missing /value/a.html /value/a.html?a=x%20y /none/in/a.html /none/in/e /if/a.html /if/a.html?a=1 /if/a.html?b=1 /if/a.html?a=1&b=1 /if/a.html?c=1 /if/a.html?b=1&c=1)),
    ask('/names/a.html', 'Range: bytes=0-1'), ask('/cc/a.html', 'Range: bytes=0-1'), ask('/cc/a.html', 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'), ask('/if/a.html?c=1', 'Range: bytes=9-'), ask('/value/a.html', 'X: y'), ask('/e12/a.html', 'If-None-Match: *'),
], differ => {
    map({ ("GET /e$_/a.html?e=99999999999y " => 'what does not fit is no time') } @dyn),
    map({ my $m = $_; map { ("$m $_/a.html " => 'a second Expires from the upstream goes too, as in nginx from 1.23 on') } qw(/up /upepoch) } qw(GET HEAD)),
    'GET /if/a.html?c=1 Range: bytes=9-' => 'no trailer comes with an error: the page has its length',
}, files => \%files, env => { TZ => 'Asia/Kolkata' }, globals => 'env TZ; ');
done_testing;
