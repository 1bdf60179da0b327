# Requests for FastCGI servers, and what becomes of their answers, beside nginx; then PHP's own server, where there is one.
use lib 't/lib';
use Weir;
use Weir::FastCGI;

# What to answer stands in the query: ?as=NAME.
my %answers = (
    plain    => "Content-Type: text/plain\r\n\r\nhello",
    lf       => "Content-Type: text/plain\nX-Kept: 1\n\nhello",
    status   => "Status: 404 Gone Fishing\r\nContent-Type: text/plain\r\n\r\nno fish",
    code     => "Status: 403\r\nContent-Type: text/plain\r\n\r\nno",
    location => "Location: http://example.org/there\r\n\r\n",
    path     => "Location: /there\r\n\r\n",
    endless  => "Content-Type: text/plain\r\n\r\nhello",
    length   => "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
    nocontent => "Status: 204 No Content\r\n\r\n",
    fields   => "Content-Type: text/html\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Powered-By: us\r\nStatus: 200 OK\r\n\r\n<p>",
    accel    => "X-Accel-Redirect: /static/page\r\nContent-Type: text/x-kept\r\n\r\nunseen",
    empty    => "Content-Type: text/plain\r\n\r\n",
    long     => "Content-Type: text/plain\r\n\r\n" . join('', map { "line $_\n" } 1 .. 20000),
    bad_head => "what is this\r\n\r\nbody",
    bad_status => "Status: none\r\n\r\nbody",
    big_head => 'X-Big: ' . 'b' x 5000 . "\r\n\r\nbody",
    five_hundred => "Status: 500 Oh\r\nContent-Type: text/plain\r\n\r\noh",
);
my $app = Weir::Backend->new(sub {
    my $conn = shift;
    while (my $r = Weir::FastCGI::read_request($conn)) {
        my %p = %{ $r->{params} };
        my ($as) = ($p{QUERY_STRING} // '') =~ /\bas=(\w+)/;
        $as //= 'params';
        my ($most, $padding) = ($p{QUERY_STRING} // '') =~ /\bpieces=(\d+),(\d+)/;
        my $out = $answers{$as};
        my $body = length $r->{stdin} > 100 ? length($r->{stdin}) . ' bytes, sum ' . unpack('%32C*', $r->{stdin}) : $r->{stdin};
        $out //= "Content-Type: text/plain\r\n\r\n" . join('', map { "$_=$p{$_}\n" } sort keys %p) . "body=$body\n" if $as eq 'params';
        if ($as eq 'cut')     { $conn->send(Weir::FastCGI::records(6, "Content-Type: text/plain\r\nContent-Length: 100\r\n\r\nonly this")); last }
        if ($as eq 'nothing') { last }
        if ($as eq 'garbage') { $conn->send('x' x 64); last }
        $conn->send(Weir::FastCGI::records(7, "PHP message: beware\n")) if $as eq 'complains' || $as eq 'warned';
        $out //= $answers{plain};
        $conn->send(Weir::FastCGI::records(6, $out, $most, $padding) . ($as eq 'endless' ? '' : Weir::FastCGI::end()));
        last if $as eq 'endless';
        last unless $r->{keep};
    }
    $conn->close;
}, connection => 1);

my $params = join '', map { "        fastcgi_param $_->[0] $_->[1];\n" } (
    [QUERY_STRING => '$query_string'], [REQUEST_METHOD => '$request_method'], [CONTENT_TYPE => '$content_type'], [CONTENT_LENGTH => '$content_length'],
    [SCRIPT_NAME => '$fastcgi_script_name'], [PATH_INFO => '$fastcgi_path_info'], [SERVER_PROTOCOL => '$server_protocol'], [HTTPS => '$https if_not_empty'],
    [SCRIPT_FILENAME => '$document_root$fastcgi_script_name'], [HTTP_HOST => '$host'], [HTTP_X_OWN => 'ours']);
my $conf = <<"EOC";
events { }
http {
    log_format up '\$upstream_status \$upstream_addr \$status';
    upstream kept { server %%BACKEND%%; keepalive 4; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        client_body_buffer_size 16k;
        fastcgi_buffer_size 4k;
$params
        location / { fastcgi_pass %%BACKEND%%; fastcgi_index start.php; }
        location ~ \\.php(/|\$) { fastcgi_split_path_info ^(.+\\.php)(.*)\$; fastcgi_pass %%BACKEND%%; }
        location /kept/ { fastcgi_keep_conn on; fastcgi_pass kept; }
        location /streamed/ { fastcgi_request_buffering off; fastcgi_pass %%BACKEND%%; }
        location /unbuffered/ { fastcgi_buffering off; fastcgi_pass %%BACKEND%%; }
        location /bare/ { fastcgi_pass_request_headers off; fastcgi_pass_request_body off; fastcgi_pass %%BACKEND%%; }
        location /hide/ { fastcgi_hide_header X-Powered-By; fastcgi_pass_header Status; fastcgi_pass %%BACKEND%%; }
        location /intercept/ { fastcgi_intercept_errors on; error_page 404 403 500 /static/page; fastcgi_pass %%BACKEND%%; }
        location /catch/ { fastcgi_catch_stderr beware; fastcgi_pass %%BACKEND%%; }
        location /var/ { set \$to %%BACKEND%%; fastcgi_pass \$to; }
        location /static/ { root %%TESTDIR%%; default_type text/plain; }
    }
}
EOC

sub get { my ($uri, @more) = @_; return "GET $uri HTTP/1.1\r\nHost: some.host\r\n" . join('', map { "$_\r\n" } @more) . "\r\n" }
sub post { my ($uri, $body, @more) = @_; return "POST $uri HTTP/1.1\r\nHost: some.host\r\nContent-Length: " . length($body) . "\r\n" . join('', map { "$_\r\n" } @more) . "\r\n$body" }
my $long = join '', map { "$_ bottles\n" } 1 .. 12000;
my @requests = (
    (map { ("answer $_" => get("/x?as=$_")) } grep { !/^(?:fields|location|path)$/ } sort keys %answers),
    (map { ("answer $_" => get("/x?as=$_")) } qw(fields location path nothing garbage)),
    (map { ("in pieces of $_" => get("/x?as=fields&pieces=$_")) } '1,0', '7,3', '64,255'),
    'a long one in small pieces' => get('/x?as=long&pieces=1000,1'),
    'unbuffered' => get('/unbuffered/?as=long&pieces=100,0'),
    'parameters' => get('/dir/', 'User-Agent: us', 'X-Some-Field: v', 'Cookie: a=b', 'X-Own: theirs'),
    'parameters without fields' => post('/bare/', 'unseen', 'X-Some: v'),
    'a path behind the script' => get('/a/b.php/c/d?q=1'),
    'no path behind it' => get('/a/b.php'),
    'a body' => post('/x', 'some body', 'Content-Type: text/plain'),
    'a body in a file' => post('/x', $long),
    'a streamed body' => post('/streamed/x', $long),
    'a chunked body' => "POST /x HTTP/1.1\r\nHost: some.host\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n",
    'HEAD' => "HEAD /x?as=plain HTTP/1.1\r\nHost: some.host\r\n\r\n",
    'HTTP/1.0' => "GET /x?as=plain HTTP/1.0\r\n\r\n",
    'kept' => get('/kept/?as=plain'), 'kept once more' => get('/kept/?as=length'),
    'kept with a body' => post('/kept/', 'some body'),
    'hidden and passed' => get('/hide/?as=fields'),
    'intercepted' => get('/intercept/?as=status'), 'not intercepted' => get('/intercept/?as=plain'), 'intercepted 500' => get('/intercept/?as=five_hundred'),
    'complaints in the log' => get('/x?as=complains'), 'complaints that are caught' => get('/catch/?as=complains'),
    'by a variable' => get('/var/?as=plain'),
);
Weir->compare($conf, \@requests, vars => { BACKEND => $app->addr }, files => { 'static/page' => "a page\n" }, differ => {
    'answer code' => 'a status without a reason gets the usual one',
    'answer endless' => 'a connection that ends before its request does was cut off; nginx takes it for the end',
});

my $w = Weir->new(conf => $conf, vars => { BACKEND => $app->addr }, files => { 'static/page' => "a page\n" })->start;

subtest 'an answer that is cut off' => sub {
    my $m = $w->get('/x?as=cut');
    ok !$m->complete, 'the client sees that it is not whole';
    $w->wait_error(qr/FastCGI stdout|prematurely closed/);
};

subtest 'connections are kept' => sub {
    my $before = $app->connections;
    is($w->get('/kept/?as=plain')->body, 'hello', "request $_") for 1 .. 5;
    is $app->connections - $before, 1, 'one connection for five requests';
};

subtest 'what scripts complain of' => sub {
    is($w->get('/x?as=warned')->status, 200, 'the answer is passed on');
    $w->wait_error(qr/FastCGI sent in stderr: "PHP message: beware" while reading response header from upstream/);
    is($w->get('/catch/?as=warned')->status, 502, 'unless that is looked for');
};

subtest 'a field that means something else to scripts' => sub {
    unlike $w->get('/x', headers => ['Proxy' => 'evil:80'])->body, qr/HTTP_PROXY/, 'Proxy is not passed on';
};

my ($fpm) = grep { -x } glob '/usr/sbin/php-fpm*';
subtest 'PHP' => sub {
    plan skip_all => 'no php-fpm here' unless $fpm;
    my $dir = Weir::scratch() . '/php';
    mkdir $dir;
    my %scripts = (
        'info.php' => '<?php header("X-From: php"); echo $_SERVER["REQUEST_METHOD"], " ", $_SERVER["SCRIPT_NAME"], " ", $_SERVER["PATH_INFO"] ?? "", " ", file_get_contents("php://input");',
        'status.php' => '<?php http_response_code(418); echo "teapot";',
        'go.php' => '<?php header("Location: /elsewhere");',
        'big.php' => '<?php for ($i = 0; $i < 20000; $i++) echo "0123456789abcdef\n";',
        'warn.php' => '<?php error_log("something odd"); echo "fine";',
    );
    for (keys %scripts) { open my $out, '>', "$dir/$_" or die; print $out $scripts{$_}; close $out }
    my $pool_user = $> == 0 ? "user = nobody\ngroup = nogroup\nlisten.mode = 0666\n" : '';
    open my $out, '>', "$dir/fpm.conf" or die;
    print $out "[global]\nerror_log = $dir/fpm.log\ndaemonize = no\n[www]\n${pool_user}listen = $dir/fpm.sock\npm = static\npm.max_children = 2\ncatch_workers_output = no\n";
    close $out;
    chmod 0755, $dir;
    my $pid = fork // die;
    if (!$pid) { open STDOUT, '>', '/dev/null'; open STDERR, '>&', \*STDOUT; exec { $fpm } $fpm, '-n', '-y', "$dir/fpm.conf" or POSIX::_exit(1) }
    ok wait_for(sub { -S "$dir/fpm.sock" }, 10), 'php-fpm runs' or return;
    my $conf = <<"EOC";
events { }
http { upstream php { server unix:$dir/fpm.sock; keepalive 2; }
server { listen 127.0.0.1:%%PORT_0%%; root $dir;
    fastcgi_param QUERY_STRING \$query_string; fastcgi_param REQUEST_METHOD \$request_method; fastcgi_param CONTENT_TYPE \$content_type; fastcgi_param CONTENT_LENGTH \$content_length;
    fastcgi_param SCRIPT_FILENAME \$document_root\$fastcgi_script_name; fastcgi_param SCRIPT_NAME \$fastcgi_script_name; fastcgi_param PATH_INFO \$fastcgi_path_info; fastcgi_param REDIRECT_STATUS 200;
    location ~ \\.php(/|\$) { fastcgi_split_path_info ^(.+?\\.php)(/.*)\$; fastcgi_pass unix:$dir/fpm.sock; }
    location /kept/ { fastcgi_param SCRIPT_FILENAME $dir/info.php; fastcgi_param REQUEST_METHOD \$request_method; fastcgi_param CONTENT_LENGTH \$content_length; fastcgi_keep_conn on; fastcgi_pass php; } } }
EOC
    Weir->compare($conf, [
        'a script' => get('/info.php'), 'with a path' => get('/info.php/a/b'), 'a body' => post('/info.php', 'what=this', 'Content-Type: application/x-www-form-urlencoded'),
        'a long body' => post('/info.php', 'x' x 100000, 'Content-Type: text/plain'), 'a status' => get('/status.php'), 'a redirect' => get('/go.php'), 'a long answer' => get('/big.php'),
        'none there' => get('/none.php'), 'HEAD' => "HEAD /info.php HTTP/1.1\r\nHost: a\r\n\r\n", 'a complaint' => get('/warn.php'), (map { ("kept $_" => post('/kept/', 'b' x 10)) } 1 .. 4),
    ]);
    kill TERM => $pid;
    waitpid $pid, 0;
};

done_testing;
