# Connections: keep-alive, pipelining, limits, time, bodies that nobody wants, lingering.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $conf = <<'EOC';
events { }
http {
    root %%TESTDIR%%/html;
    server { listen 127.0.0.1:%%PORT_0%%; }
    server { listen 127.0.0.1:%%PORT_1%%; keepalive_requests 3; keepalive_timeout 60s 20s; client_max_body_size 10; location /any/ { client_max_body_size 0; } }
    server { listen 127.0.0.1:%%PORT_2%%; keepalive_timeout 0; max_headers 5; client_header_timeout 300ms; client_body_timeout 300ms; }
    server { listen 127.0.0.1:%%PORT_3%%; keepalive_timeout 300ms; reset_timedout_connection on; client_header_timeout 300ms; lingering_timeout 300ms; }
    server { listen 127.0.0.1:%%PORT_4%%; client_header_buffer_size 300; large_client_header_buffers 2 600; ignore_invalid_headers off; underscores_in_headers on; }
    server { listen 127.0.0.1:%%PORT_5%%; server_tokens off; keepalive_disable safari; merge_slashes off; chunked_transfer_encoding off; }
}
EOC
(my $nginx_conf = $conf) =~ s/max_headers 5;//;
my %files = ('html/index.html' => "index\n", 'html/a' => "A\n", 'html/b' => "B\n", 'html/big' => 'x' x 3_000_000);
my $w = Weir->new(conf => $conf, files => \%files)->start;
my $n = Weir->new(conf => $nginx_conf, files => \%files, binary => $Weir::nginx)->start;
sub get { my ($uri, @fields) = @_; return "GET $uri HTTP/1.1\r\nHost: h\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n" }
sub picture { my $m = shift; return 'nothing' unless $m; return join ' ', $m->status, (map { "$_=" . ($m->header($_) // '-') } qw(Connection Keep-Alive)), $m->status < 300 ? length $m->body : 'page', ($m->complete ? () : 'cut') }
# The same talk with both: a list of words each.
sub both { my ($name, $talk) = @_; my @seen = map { [$talk->($_)] } $w, $n; is_deeply(@seen, $name) or diag(explain(\@seen)) }

both 'keep-alive: several requests on a connection', sub { my $c = $_[0]->connect; map { $c->send(get($_)); picture($c->response) } qw(/a /b /none /a) };
both 'pipelined', sub { my $c = $_[0]->connect; $c->send(get('/a') . get('/b') . get('/none') . get('/a', 'Connection: close')); map { my $m = $c->response; picture($m), $m ? $m->body =~ /^(\w)\n/ : () } 1 .. 5 };
both 'many pipelined', sub { my $c = $_[0]->connect; $c->send(get('/a') x 200 . get('/b', 'Connection: close')); my $all = $c->rest; scalar(() = $all =~ /^A$/mg), scalar(() = $all =~ /^B$/mg) };
both 'pipelined around a large file', sub { my $c = $_[0]->connect; $c->send(get('/a') . get('/big') . get('/b', 'Connection: close')); map { length $c->response->body } 1 .. 3 };
both 'byte by byte', sub { my $c = $_[0]->connect; $c->send($_) for split //, get('/a', 'Foo: bar'); picture($c->response) };
both 'cut anywhere, pipelined', sub { my $c = $_[0]->connect; my $all = get('/a', 'Foo: bar') x 3; $c->send($_) for $all =~ /(.{1,37})/sg; map { picture($c->response) } 1 .. 3 };
both 'HTTP/1.0', sub { my $c = $_[0]->connect; $c->send("GET /a HTTP/1.0\r\n\r\n"); picture($c->response), $c->closed ? 'closed' : 'open' };
both 'HTTP/1.0 keep-alive', sub { my $c = $_[0]->connect; map { $c->send("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"); picture($c->response) } 1, 2 };
both 'HTTP/0.9', sub { $_[0]->raw_all("GET /a\r\n") };
both 'keepalive_requests, Keep-Alive header', sub { my $c = $_[0]->connect(port => 1); map({ $c->send(get('/a')); picture($c->response) } 1 .. 3), $c->closed ? 'closed' : 'open' };
both 'keepalive_timeout 0', sub { my $c = $_[0]->connect(port => 2); $c->send(get('/a')); picture($c->response), $c->closed ? 'closed' : 'open' };
both 'keepalive_timeout passes', sub { my $c = $_[0]->connect(port => 3); $c->send(get('/a')); picture($c->response), $c->closed(5) ? 'closed' : 'open' };
both 'keepalive_disable', sub { my $c = $_[0]->connect(port => 5); $c->send(get('/a', 'User-Agent: (Mac OS X) Safari/1')); picture($c->response) };
both 'server_tokens off', sub { my $c = $_[0]->connect(port => 5); $c->send(get('/none')); my $m = $c->response; (my $s = $m->header('Server') . $m->body) =~ s/nginx|weir/NAME/g; $s };
both 'merge_slashes off', sub { my $c = $_[0]->connect(port => 5); map { $c->send(get($_)); picture($c->response) } '//a', '/a//' };
both 'a client that finished sending', sub { my $c = $_[0]->connect; $c->send("GET /a HTTP/1.0\r\n\r\n"); $c->finish; picture($c->response) };

# bodies that nobody wants
sub post { my ($uri, $body, @fields) = @_; return "POST $uri HTTP/1.1\r\nHost: h\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n$body" }
both 'a body is dropped, the next request found', sub { my $c = $_[0]->connect; $c->send(post('/a', 'hello', 'Content-Length: 5') . get('/a')); map { picture($c->response) } 1, 2 };
both 'a chunked one', sub { my $c = $_[0]->connect; $c->send(post('/a', "5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nFoo: bar\r\n\r\n", 'Transfer-Encoding: chunked') . get('/a')); map { picture($c->response) } 1, 2 };
both 'one that comes later', sub { my $c = $_[0]->connect; $c->send(post('/a', 'hel', 'Content-Length: 5')); my $p = picture($c->response); $c->send('lo' . get('/a')); $p, picture($c->response) };
both 'a large one', sub { my $c = $_[0]->connect; $c->send(post('/a', 'x' x 500_000, 'Content-Length: 500000')); my $p = picture($c->response); $c->send(get('/a')); $p, picture($c->response) };
both 'Expect: 100-continue', sub { my $c = $_[0]->connect; $c->send(post('/a', '', 'Content-Length: 5', 'Expect: 100-continue')); my $m = $c->response; $c->send('hello' . get('/a')); picture($m), scalar @{ $m->interim }, picture($c->response) };
both 'too large by length', sub { my $c = $_[0]->connect(port => 1); $c->send(post('/a', 'x' x 11, 'Content-Length: 11')); picture($c->response), $c->closed ? 'closed' : 'open' };
both 'as large as allowed', sub { my $c = $_[0]->connect(port => 1); $c->send(post('/a', 'x' x 10, 'Content-Length: 10')); picture($c->response) };
both 'any size', sub { my $c = $_[0]->connect(port => 1); $c->send(post('/any/a', 'x' x 100, 'Content-Length: 100')); picture($c->response) };

# limits of heads
my @sizes = map { my $l = $_; ["a line of $l" => get('/a', 'Foo: ' . 'x' x $l)], ["a target of $l" => get('/a?' . 'x' x $l)] } 50, 200, 250, 270, 285, 400, 560, 580, 590 .. 596, 600, 610, 1300;
push @sizes, map { my $k = $_; ["$k lines" => get('/a', map { "Foo$_: " . 'x' x 60 } 1 .. $k)] } 2, 4, 10, 15, 20 .. 24, 30;
push @sizes, map { my $k = $_; ["$k lines of 280" => get('/a', map { "Foo$_: " . 'x' x 280 } 1 .. $k)] } 1 .. 7;
for my $case (@sizes) {
    my ($name, $bytes) = @$case;
    both $name, sub { my $c = $_[0]->connect(port => 4); $c->send($bytes); my $m = $c->response; picture($m), $m && $m->body =~ /<title>(.*)<\/title>/ };
    both "$name, in pieces", sub { my $c = $_[0]->connect(port => 4); $c->send($_) for $bytes =~ /(.{1,71})/sg; picture($c->response) };
}
both 'a very long line', sub { my $c = $_[0]->connect; $c->send(get('/a', 'Foo: ' . 'x' x 9000)); picture($c->response) };
both 'many lines', sub { my $c = $_[0]->connect; $c->send(get('/a', map { "Foo$_: " . 'x' x 3000 } 1 .. 12)); picture($c->response) };
both 'as many as go', sub { my $c = $_[0]->connect; $c->send(get('/a', map { "Foo$_: " . 'x' x 3000 } 1 .. 8)); picture($c->response) };
{
    my $c = $w->connect(port => 2);
    $c->send(get('/a', map { "A$_: b" } 1 .. 4));
    is($c->response->status, 200, 'max_headers');
    $c = $w->connect(port => 2);
    $c->send(get('/a', map { "A$_: b" } 1 .. 5));
    is($c->response->status, 400, 'one more');
    ok($w->wait_error(qr/client sent too many header lines while reading client request headers/), 'and a line');
}

# time
both 'no request', sub { my $c = $_[0]->connect(port => 2); $c->closed(5) ? 'closed' : 'open', length $c->rest };
both 'half a head', sub { my $c = $_[0]->connect(port => 2); $c->send("GET /a HTTP/1.1\r\nHo"); $c->closed(5) ? 'closed' : 'open', length $c->rest };
both 'half a head, reset', sub { my $c = $_[0]->connect(port => 3); $c->send("GET /a HTTP/1.1\r\nHo"); $c->closed(5) ? 'closed' : 'open', $c->was_reset ? 'reset' : 'end' };
ok($w->wait_error(qr/client timed out \(110: Connection timed out\) while reading client request headers, client: 127.0.0.1, server: , request: "GET \/a HTTP\/1.1"/), 'the line of it');

# the access log of all this is the same, too
$_->stop for $w, $n;
sub lines { my $s = shift; my @l = map { s/\[.*?\]/TIME/; s/ 1\d\d "/ PAGE "/; $_ } split /\n/, $s->access_log; return @l }
my @lw = lines($w);
my @ln = lines($n);
my %seen;
$seen{$_}++ for @lw;
$seen{$_}-- for @ln;
is(join("\n", map { "$seen{$_} $_" } grep { $seen{$_} && !/"GET \/a HTTP\/1.1" (400|200)/ } sort keys %seen), '', 'access log as nginx');
done_testing;
