# proxy_hedge: a GET that takes long is sent to a second server as well; the first head wins, the other connection is closed.
use lib 't/lib';
use Weir;
use Weir::Pem;

my $gate = Weir::scratch() . '/gate';
my ($slow, $fast, $bad, $none);
sub touch { open my $io, '>', $_[0] or die }
# The first server of each group waits for the gate, or as the uri says; the second answers at once.
$slow = Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    return 'quick' if $req->uri =~ /quick/;
    if ($req->uri =~ /close/) { select undef, undef, undef, 0.5; $conn->close; return undef }
    if ($req->uri =~ /half/) { $conn->send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-"); select undef, undef, undef, 0.01 until -e $gate; $conn->send("A: b\r\n\r\nslow"); return undef }
    if ($req->uri =~ /later/) { select undef, undef, undef, 0.5; return 'slow' }
    select undef, undef, undef, 0.01 until -e $gate;
    return 'slow';
});
$fast = Weir::Backend->new(sub { my ($req) = @_; select undef, undef, undef, 3 if $req->uri =~ /later/; return [503, [], 'no'] if $req->uri =~ /refuse/; return $req->method eq 'HEAD' ? '' : 'fast ' . $req->method });
my $pem = Weir::Pem->new(Weir::scratch() . '/pem')->ca('ca')->issue('localhost', by => 'ca', names => ['localhost']);
my @ssl = (ssl => { SSL_cert_file => $pem->file('localhost.pem'), SSL_key_file => $pem->file('localhost.key') });
my $slow_tls = Weir::Backend->new(sub { select undef, undef, undef, 0.01 until -e $gate; return 'slow' }, @ssl);
my $fast_tls = Weir::Backend->new(sub { 'fast over TLS' }, @ssl);
# The same for servers that speak otherwise: the first waits for the gate, the second answers at once.
use Weir::FastCGI;
my %serve = (
    fastcgi => sub { my ($conn, $say) = @_; my $req = Weir::FastCGI::read_request($conn) or return; my $text = $say->(); $conn->send(Weir::FastCGI::records(6, "Content-Type: text/plain\r\nX-A: " . 'a' x 300 . "\r\n\r\n$text") . Weir::FastCGI::end()) },
    scgi => sub { my ($conn, $say) = @_; my $n = ''; while (defined(my $c = $conn->bytes(1))) { last if $c eq ':'; $n .= $c } $conn->bytes($n + 1); $conn->send("Status: 200 OK\r\n\r\n" . $say->()) },
    uwsgi => sub { my ($conn, $say) = @_; my (undef, $n) = unpack 'CvC', $conn->bytes(4); $conn->bytes($n); $conn->send("HTTP/1.1 200 OK\r\n\r\n" . $say->()) },
    memcached => sub { my ($conn, $say) = @_; my ($key) = $conn->line =~ /^get (\S+)/; my $text = $say->(); $conn->send("VALUE $key 0 " . length($text) . "\r\n$text\r\nEND\r\n") },
);
my %other;
for my $kind (keys %serve) {
    my $wait = sub { select undef, undef, undef, 0.01 until -e $gate; return "slow $kind" };
    $other{ uc($kind) . '_SLOW' } = Weir::Backend->new(sub { my ($conn) = @_; $serve{$kind}->($conn, $wait); $conn->close }, connection => 1, quiet => 1);
    $other{ uc($kind) . '_FAST' } = Weir::Backend->new(sub { my ($conn) = @_; $serve{$kind}->($conn, sub { "fast $kind" }); $conn->close }, connection => 1, quiet => 1);
}
my $w = Weir->new(vars => { (map { ($_ => $other{$_}->addr) } keys %other), SLOW => $slow->addr, FAST => $fast->addr, SLOW_TLS => $slow_tls->addr, FAST_TLS => $fast_tls->addr, AWAY => '127.0.0.1:' . Weir::free_port() }, conf => <<'EOC')->start;
worker_processes 1;
events { }
http {
    log_format l "$request_method $uri $status $upstream_addr $upstream_status $upstream_http_x_a";
    access_log access.log l;
    # The slow one is asked first: the other one is a backup.
    upstream u { server %%SLOW%% max_fails=0; server %%FAST%% max_fails=0 backup; }
    upstream counted { zone counted 64k; server %%SLOW%% max_conns=1; server %%FAST%% backup max_conns=1; breaker max_requests=20; }
    upstream three { server %%SLOW%% max_fails=0; server %%AWAY%% backup max_fails=0; }
    upstream fourth { server %%SLOW%% max_fails=0; server %%AWAY%% backup max_fails=0; server %%FAST%% priority=2; }
    upstream even { server %%SLOW%%; server %%FAST%%; }
    upstream tls { server %%SLOW_TLS%% max_fails=0; server %%FAST_TLS%% backup; }
    upstream fastcgi { server %%FASTCGI_SLOW%% max_fails=0; server %%FASTCGI_FAST%% backup; }
    upstream scgi { server %%SCGI_SLOW%% max_fails=0; server %%SCGI_FAST%% backup; }
    upstream uwsgi { server %%UWSGI_SLOW%% max_fails=0; server %%UWSGI_FAST%% backup; }
    upstream memcached { server %%MEMCACHED_SLOW%% max_fails=0; server %%MEMCACHED_FAST%% backup; }
    proxy_hedge 200ms; fastcgi_hedge 200ms; scgi_hedge 200ms; uwsgi_hedge 200ms; memcached_hedge 200ms;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://u; }
        location /quick { proxy_hedge 20s; proxy_pass http://u; }
        location /off { proxy_hedge off; proxy_pass http://u; }
        location /tries { proxy_next_upstream_tries 1; proxy_pass http://u; }
        location /budget { proxy_next_upstream_budget 0% min=0; proxy_pass http://u; }
        location /counted { proxy_pass http://counted; }
        location /three { proxy_pass http://three; }
        location /fourth { proxy_pass http://fourth; }
        location /refuse { proxy_next_upstream error http_503; proxy_pass http://u; }
        location /taken { proxy_pass http://u; }
        location /deadline { proxy_deadline 700ms; proxy_pass http://three; }
        location /tls { proxy_pass https://tls; }
        location /fastcgi { fastcgi_param REQUEST_METHOD $request_method; fastcgi_pass fastcgi; }
        location /scgi { scgi_param REQUEST_METHOD $request_method; scgi_pass scgi; }
        location /uwsgi { uwsgi_param REQUEST_METHOD $request_method; uwsgi_pass uwsgi; }
        location /memcached { set $memcached_key $uri; memcached_pass memcached; }
        location /p { proxy_hedge p90 min=100ms; proxy_pass http://even; }
        location /upgrade { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_pass http://u; }
        location /api { api; }
    }
}
EOC
my ($s, $f) = ($slow->addr, $fast->addr);
my $n = 0;
sub line { my @l = $w->wait_access(++$n); return $l[$n - 1] }
sub body { my $m = $w->get(@_, timeout => 60); return $m->status . ' ' . $m->body }
sub let { touch($gate); my $r = $_[0]->(); unlink $gate; return $r }

is(body('/quick'), '200 quick', 'one that is quick');
is(line(), "GET /quick 200 $s 200 -", 'asks one server');
is(body('/a'), '200 fast GET', 'one that is slow: the second server answers');
is(line(), "GET /a 200 $s, $f -, 200 -", 'both are listed, the first without a status');
is($slow->requests, 2, 'the first was asked once');
my $head = $w->connect(timeout => 60);
$head->request('HEAD', '/h');
is($head->response->status, 200, 'HEAD too');
is(line(), "HEAD /h 200 $s, $f -, 200 -", 'listed');
is(body('/half'), '200 fast GET', 'half a head is no head');
is(line(), "GET /half 200 $s, $f -, 200 -", 'nor are its fields anywhere');
is(body('/later'), '200 slow', 'the first one is first after all');
is(line(), "GET /later 200 $s, $f 200, - -", 'the second without a status');
ok($w->wait_error(qr/no answer for \d+ ms, \Q$f\E is asked as well.*upstream: "http:\/\/\Q$s\E/), 'the log tells');

# What is not hedged. The gate is opened once each of them has waited longer than it would take.
for (['/off'], ['/tries'], ['/budget'], ['/post', method => 'POST', body => 'x'], ['/upgrade', headers => [Upgrade => 'websocket', Connection => 'upgrade']]) {
    my ($uri, %o) = @$_;
    my $method = delete $o{method} // 'GET';
    my $c = $w->connect(timeout => 60);
    $c->request($method, $uri, %o);
    is(body('/wait'), '200 fast GET', 'two later ones are hedged meanwhile') for 1 .. 2;
    $n += 2;
    touch($gate);
    is($c->response->body, 'slow', "$uri waits for the first");
    unlink $gate;
    like(line(), qr/ \Q$uri\E 200 \Q$s\E 200 -$/, 'and asks no other');
}

is(body('/tls'), '200 fast over TLS', 'over TLS');
like(line(), qr/^GET \/tls 200 \S+, \S+ -, 200 -$/, 'both are listed');

for my $kind (sort keys %serve) {
    my ($first, $second) = map { $other{ uc($kind) . $_ }->addr } qw(_SLOW _FAST);
    is(body("/$kind"), "200 fast $kind", "$kind: the second server answers");
    like(line(), qr{^GET /$kind 200 \Q$first\E, \Q$second\E -, 200 }, 'both are listed');
    next if $kind eq 'memcached';
    my $c = $w->connect(timeout => 60);
    $c->request('POST', "/$kind", body => 'x');
    is(body('/wait'), '200 fast GET', 'a later one is hedged meanwhile');
    $n++;
    touch($gate);
    is($c->response->body, "slow $kind", "$kind: POST waits for the first");
    unlink $gate;
    like(line(), qr{^POST /$kind 200 \Q$first\E 200 }, 'and asks no other');
}

# One of the two fails.
is(body('/close'), '200 fast GET', 'the first closes after the second was asked and has answered');
line();
my $c = $w->connect(timeout => 60);
$c->request('GET', '/three/x');
ok($w->wait_error(qr/connect\(\) failed.*three.*upstream: "http:\/\/127/), 'the second cannot be reached');
touch($gate);
is($c->response->body, 'slow', 'the first answers');
unlink $gate;
like(line(), qr{^GET /three/x 200 \Q$s\E, \S+ 200, 502 -$}, 'both are listed');
is($w->get('/three/close')->status, 502, 'both fail: one answer');
like(line(), qr{^GET /three/close 502 \Q$s\E, \S+ 502, 502 -$}, 'listed');
is(body('/fourth/close'), '200 fast GET', 'both fail, and a third is left');
like(line(), qr{^GET /fourth/close 200 \Q$s\E, \S+, \Q$f\E 502, 502, 200 -$}, 'three');
my $refused;        # nobody sees when the 503 has come: it may be too late for once
for my $try (1 .. 10) {
    my $r = $w->connect(timeout => 60);
    $r->request('GET', "/refuse/$try");
    wait_for(sub { $w->error_log =~ m{is asked as well.*/refuse/$try"} }, 10) or last;
    select undef, undef, undef, 0.1 * $try;
    touch($gate);
    my $body = $r->response->body;
    unlink $gate;
    $refused = "$body: " . line();
    last if $refused !~ /200, - -$/;
}
like($refused, qr{^slow: GET /refuse/\d+ 200 \Q$s\E, \Q$f\E 200, 503 -$}, 'the second answers 503, which is left to the first, as next_upstream says: listed');
is(body('/taken/refuse'), '503 no', 'where it does not say so: it is an answer');
line();
is($w->get('/deadline/x')->status, 504, 'the deadline is for both');
like(line(), qr{^GET /deadline/x 504 }, 'listed');

# Places: one at each server while both are asked, none after; a client that leaves ends both.
sub active { my $j = $w->get('/api/9/http/upstreams/counted')->body; $n++; return join ' ', $j =~ /"active":(\d+)/g }
my $gone = $w->connect;
$gone->request('GET', '/counted/later');
ok(wait_for(sub { active() eq '1 1' }, 10), 'a place at each');
ok(wait_for(sub { active() eq '0 0' }, 10), 'and none after');
is($gone->response->body, 'slow', 'the answer');
$n++;
$gone->request('GET', '/counted/later');
ok(wait_for(sub { active() eq '1 1' }, 10), 'again a place at each');
$gone->reset;
ok(wait_for(sub { active() eq '0 0' }, 10), 'the client has left: none');
like(body('/counted/quick'), qr{^200 (quick|fast GET)$}, 'there is room');
ok(!eval { $w->error_log =~ /counted.*is not asked/ }, 'the breaker counts no more than there are');

# By the times of the group.
$w->get('/p/quick') for 1 .. 30;
is(body('/p/slow'), '200 fast GET', 'longer than ninety of a hundred take') for 1 .. 2;
ok(wait_for(sub { grep { m{^GET /p/slow 200 \Q$s\E, \Q$f\E -, 200 } } split /\n/, $w->access_log }, 5), 'one of the two came to the slow server first');

for my $line ('proxy_hedge;', 'proxy_hedge p100;', 'proxy_hedge 0;', 'proxy_hedge p95 what=3;', 'proxy_hedge 10ms; proxy_request_dynamic on;') {
    my $wrong = Weir->new(conf => "events { } http { server { location / { proxy_pass http://127.0.0.1:1; $line } } }", plain => 1);
    my ($code, $out) = $wrong->t_binary;
    is($code, 1, "$line is refused") or diag($out);
}
done_testing;
