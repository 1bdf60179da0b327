# gzip: which responses, what is said of them, and every byte, as nginx.
use lib 't/lib';
use Weir;

my $text = join '', map { "line $_ of a text that repeats itself, with a number squared: " . $_ * $_ . "\n" } 1 .. 3000;
my %files = ('html/a.html' => $text, 'html/short.html' => 'x' x 19, 'html/twenty.html' => 'x' x 20, 'html/a.txt' => $text, 'html/a.css' => $text,
    'html/empty.html' => '', 'html/big.html' => $text x 20, 'html/err.html' => 'not here ' x 10);
my $conf = <<'EOC';
events { }
http {
    types { text/html html; text/css css; text/plain txt; }
    gzip on;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        error_page 404 /err.html;
        location /plain/ { alias %%TESTDIR%%/html/; }
        location /off/ { alias %%TESTDIR%%/html/; gzip off; gzip_vary on; }
        location /vary/ { alias %%TESTDIR%%/html/; gzip_vary on; gzip_types text/css; }
        location /any/ { alias %%TESTDIR%%/html/; gzip_types *; gzip_comp_level 9; gzip_buffers 4 8k; }
        location /six/ { alias %%TESTDIR%%/html/; gzip_comp_level 6; gzip_min_length 0; gzip_window 4k; gzip_hash 16k; }
        location /min/ { alias %%TESTDIR%%/html/; gzip_min_length 1m; }
        location /10/ { alias %%TESTDIR%%/html/; gzip_http_version 1.0; }
        location /disable/ { alias %%TESTDIR%%/html/; gzip_disable msie6 "bot[0-9]"; gzip_vary on; }
        location /if/ { alias %%TESTDIR%%/html/; gzip off; if ($arg_z) { gzip on; } }
        location /encoded/ { alias %%TESTDIR%%/html/; add_header X-Encoding $sent_http_content_encoding; }
        location /p_any/ { alias %%TESTDIR%%/html/; gzip_proxied any; }
        location /p_exp/ { alias %%TESTDIR%%/html/; gzip_proxied expired; expires $arg_e; }
        location /p_cc/ { alias %%TESTDIR%%/html/; gzip_proxied no-cache no-store private; add_header Cache-Control $arg_c; }
        location /p_auth/ { alias %%TESTDIR%%/html/; gzip_proxied auth; }
        location /p_etag/ { alias %%TESTDIR%%/html/; gzip_proxied no_etag no_last_modified; }
        location /p_none/ { alias %%TESTDIR%%/html/; gzip_proxied no_etag no_last_modified; etag off; }
        location /403 { error_page 403 /err.html; return 403; }
        location /500 { return 500; }
        location /200 { default_type text/html; return 200 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"; }
    }
}
EOC
sub ask { my ($uri, %h) = @_; my $v = delete $h{version} // '1.1'; my $m = delete $h{method} // 'GET'; $h{'Accept-Encoding'} //= 'gzip';
    return "$m $uri HTTP/$v\r\nHost: a\r\nConnection: close\r\n" . join('', map { "$_: $h{$_}\r\n" } sort keys %h) . "\r\n" }
my @list;
push @list, "$_" => ask($_) for qw(/plain/a.html /plain/short.html /plain/twenty.html /plain/a.txt /plain/empty.html /plain/big.html /off/a.html /vary/a.html /vary/a.css /vary/a.txt
    /any/a.txt /any/a.html /any/none /six/a.html /six/short.html /six/empty.html /min/a.html /10/a.html /disable/a.html /if/a.html /if/a.html?z=1 /encoded/a.html /none /403 /500 /200);
for my $ae ('gzip', 'gzip,deflate', 'deflate, gzip', 'gzip;q=0', 'gzip;q=0.001', 'gzip;q=1', 'GZIP', 'x-gzip', 'identity', '*', 'gzip;q=x', 'gzip ; q=0.5', 'br,gzip', 'gzipx', 'deflate;q=1, gzip;q=0.0', '') {
    push @list, "Accept-Encoding: $ae" => ask('/vary/a.html', 'Accept-Encoding' => $ae);
}
push @list, 'HTTP/1.0' => ask('/plain/a.html', version => '1.0'), 'HTTP/1.0 allowed' => ask('/10/a.html', version => '1.0');
push @list, 'HEAD' => ask('/vary/a.html', method => 'HEAD'), 'HEAD of text' => ask('/vary/a.txt', method => 'HEAD');
push @list, 'Range' => ask('/vary/a.html', Range => 'bytes=1-2'), 'Range of text' => ask('/vary/a.txt', Range => 'bytes=1-2');
push @list, '304 by date' => ask('/vary/a.html', 'If-Modified-Since' => 'Tue, 14 Nov 2023 22:13:20 GMT');
push @list, '304 by weak tag' => ask('/plain/a.html', 'If-None-Match' => sprintf 'W/"6553f100-%x"', length $text);
push @list, '412 by weak tag' => ask('/plain/a.html', 'If-Match' => sprintf 'W/"6553f100-%x"', length $text);
push @list, "agent $_" => ask('/disable/a.html', 'User-Agent' => $_) for 'Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)', 'Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)',
    'Mozilla/4.0 (compatible; MSIE 7.0; Windows)', 'Mozilla/4.0 (compatible; MSIE 6.0; Windows) Opera 7', 'BOT7', 'bot';
push @list, "Via $_" => ask($_, Via => '1.1 x') for qw(/plain/a.html /p_any/a.html /p_exp/a.html /p_exp/a.html?e=epoch /p_exp/a.html?e=max /p_cc/a.html /p_cc/a.html?c=private /p_cc/a.html?c=no-cache
    /p_cc/a.html?c=no-store /p_cc/a.html?c=max-age=1 /p_auth/a.html /p_etag/a.html /p_none/a.html);
push @list, 'Via and Authorization' => ask('/p_auth/a.html', Via => '1.1 x', Authorization => 'Basic YTpi');
Weir->compare($conf, \@list, files => \%files, differ => {
    'Accept-Encoding: *' => 'RFC 9110 12.5.3: "*" is any coding' });

# $gzip_ratio
my $w = Weir->new(conf => <<'EOC', files => \%files)->start;
events { }
http {
    log_format ratio '$gzip_ratio';
    server { listen 127.0.0.1:%%PORT_0%%; root %%TESTDIR%%/html; gzip on; access_log %%TESTDIR%%/ratio.log ratio; }
}
EOC
my $n = length $w->get('/a.html', headers => ['Accept-Encoding' => 'gzip'])->body;
$w->get('/a.html');
is_deeply([$w->wait_access(2, 'ratio.log')], [sprintf('%.2f', length($text) / $n), '-'], '$gzip_ratio');

for my $bad (['gzip_comp_level 0', 'value must be between 1 and 9'], ['gzip_comp_level 10', 'value must be between 1 and 9'], ['gzip_window 3k', 'must be 512, 1k, 2k, 4k, 8k, 16k, or 32k'],
    ['gzip_http_version 2', 'invalid value "2"'], ['gzip_types text/html', 'duplicate MIME type "text/html"'], ['gzip_disable "("', '"("']) {
    my $x = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%%; $bad->[0]; } }\n");
    like(($x->t_binary)[1], qr/\Q$bad->[1]\E/, "$bad->[0]: $bad->[1]");
}
done_testing;
