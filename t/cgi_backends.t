# SCGI, uwsgi and memcached servers behind weir, beside nginx.
use lib 't/lib';
use Weir;

my %answers = (
    plain    => "Content-Type: text/plain\r\n\r\nhello",
    status   => "Status: 404 Gone Fishing\r\nContent-Type: text/plain\r\n\r\nno fish",
    http     => "HTTP/1.1 201 Made\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nmade",
    location => "Location: http://example.org/there\r\n\r\n",
    length   => "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
    more     => "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello and more",
    bad      => "what is this\r\n\r\nbody",
    big      => 'X-Big: ' . 'b' x 5000 . "\r\n\r\nbody",
    empty    => '',
    long     => "Content-Type: text/plain\r\n\r\n" . join('', map { "line $_\n" } 1 .. 20000),
);
my $respond = sub {
    my ($conn, $p, $body) = @_;
    my ($as) = ($p->{QUERY_STRING} // '') =~ /\bas=(\w+)/;
    $body = length($body) . ' bytes, sum ' . unpack('%32C*', $body) if length $body > 100;
    $conn->send($as ? $answers{$as} : "Content-Type: text/plain\r\n\r\n" . join('', map { "$_=$p->{$_}\n" } sort keys %$p) . "body=$body\n");
    $conn->close;
};
my $scgi = Weir::Backend->new(sub {
    my $conn = shift;
    my $n = '';
    while (defined(my $c = $conn->bytes(1))) { last if $c eq ':'; return $conn->close if !length $c; $n .= $c }
    my @pairs = split /\0/, $conn->bytes($n + 1), -1;
    pop @pairs;      # ","
    my %p = @pairs;
    $respond->($conn, \%p, $conn->bytes($p{CONTENT_LENGTH} || 0));
}, connection => 1);
my $uwsgi = Weir::Backend->new(sub {
    my $conn = shift;
    my ($m1, $n, $m2) = unpack 'CvC', $conn->bytes(4);
    my ($in, %p) = ($conn->bytes($n), MODIFIERS => "$m1 $m2");
    while (length $in) { my ($k, $v) = unpack 'v/a v/a', $in; substr $in, 0, 4 + length($k) + length $v, ''; $p{$k} = $v }
    $respond->($conn, \%p, $conn->bytes($p{CONTENT_LENGTH} || 0));
}, connection => 1);
my %values = ('/v/one' => 'the value', '/v/empty' => '', '/v/zipped' => [2, "\x1f\x8b not really"], '/v/a%20b' => 'escaped', '/v/long.html' => '<p>' . 'x' x 100000);
my $memcached = Weir::Backend->new(sub {
    my $conn = shift;
    while (defined(my $line = $conn->line)) {
        my ($key) = $line =~ /^get (\S+)\r\n/ or do { $conn->send("ERROR\r\n"); next };
        if ($key eq '/v/error') { $conn->send("SERVER_ERROR out of sorts\r\n"); next }
        if ($key eq '/v/cut') { $conn->send("VALUE $key 0 100\r\nonly this"); last }
        if ($key eq '/v/other') { $conn->send("VALUE /v/one 0 1\r\nx\r\nEND\r\n"); next }
        my $v = $values{$key};
        my ($flags, $bytes) = ref $v ? @$v : (0, $v);
        $conn->send(defined $bytes ? "VALUE $key $flags " . length($bytes) . "\r\n$bytes\r\nEND\r\n" : "END\r\n");
    }
    $conn->close;
}, connection => 1);

my @params = ([QUERY_STRING => '$query_string'], [REQUEST_METHOD => '$request_method'], [CONTENT_LENGTH => '$content_length'], [PATH => '$uri'],
    [HTTPS => '$https if_not_empty'], [HTTP_HOST => '$host'], [HTTP_X_OWN => 'ours']);
my $params = join '', map { my $p = $_; map { "        ${p}_param $_->[0] $_->[1];\n" } @params } 'uwsgi';
$params .= join '', map { "        scgi_param $_->[0] $_->[1];\n" } grep { $_->[0] ne 'CONTENT_LENGTH' } @params;
my $conf = <<"EOC";
events { }
http {
    default_type text/x-default;
    types { text/html html; }
    upstream cache { server %%MEMCACHED%%; keepalive 4; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
$params
        location /scgi/ { scgi_pass %%SCGI%%; }
        location /uwsgi/ { uwsgi_pass uwsgi://%%UWSGI%%; uwsgi_modifier1 5; uwsgi_modifier2 6; }
        location /streamed/ { uwsgi_request_buffering off; uwsgi_pass %%UWSGI%%; }
        location /v/ { set \$memcached_key \$uri; memcached_gzip_flag 2; memcached_pass cache; }
        location /fallback/ { set \$memcached_key nothing; memcached_pass cache; error_page 404 502 = /uwsgi/; }
    }
}
EOC
sub get { my ($uri, @more) = @_; return "GET $uri HTTP/1.1\r\nHost: some.host\r\n" . join('', map { "$_\r\n" } @more) . "\r\n" }
sub post { my ($uri, $body, @more) = @_; return "POST $uri HTTP/1.1\r\nHost: some.host\r\nContent-Length: " . length($body) . "\r\n" . join('', map { "$_\r\n" } @more) . "\r\n$body" }
my $long = join '', map { "$_ bottles\n" } 1 .. 12000;
Weir->compare($conf, [
    (map { my $p = $_; map { ("$p, answer $_" => get("/$p/x?as=$_")) } sort keys %answers } qw(scgi uwsgi)),
    (map { my $p = $_; (
        "$p, parameters" => get("/$p/x?a=b", 'User-Agent: us', 'Cookie: a=b', 'X-Own: theirs'),
        "$p, a body" => post("/$p/x", 'some body'), "$p, a long body" => post("/$p/x", $long),
        "$p, a chunked body" => "POST /$p/x HTTP/1.1\r\nHost: some.host\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n",
        "$p, HEAD" => "HEAD /$p/x?as=plain HTTP/1.1\r\nHost: some.host\r\n\r\n",
    ) } qw(scgi uwsgi)),
    'a streamed body' => post('/streamed/x', $long),
    (map { ("memcached, $_" => get("/v/$_")) } qw(one empty zipped long.html none error other)),
    'memcached, a key with a space' => get('/v/a%20b'), 'memcached, HEAD' => "HEAD /v/one HTTP/1.1\r\nHost: a\r\n\r\n",
    'memcached, POST' => post('/v/one', 'x'), 'memcached, error_page' => get('/fallback/x'),
], vars => { SCGI => $scgi->addr, UWSGI => $uwsgi->addr, MEMCACHED => $memcached->addr });

my $w = Weir->new(conf => $conf, vars => { SCGI => $scgi->addr, UWSGI => $uwsgi->addr, MEMCACHED => $memcached->addr })->start;
my $before = $memcached->connections;
is($w->get($_ % 2 ? '/v/one' : '/v/none')->status, $_ % 2 ? 200 : 404, "memcached, request $_") for 1 .. 6;
is $memcached->connections - $before, 1, 'one connection for six requests, found or not';
ok !$w->get('/v/cut')->complete, 'a value that is cut off is seen to be so';
unlike $w->get("/$_/x", headers => ['Proxy' => 'evil:80'])->body, qr/HTTP_PROXY/, "$_: Proxy is not passed on" for qw(scgi uwsgi);

my ($code, $out) = $w->t_binary('-t');
is $code, 0, 'the configuration is fine';
done_testing;
