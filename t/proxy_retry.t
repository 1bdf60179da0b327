# When another peer is asked, how soon, how often, and when it is enough: beyond what nginx has.
use lib 't/lib';
use Weir;
use Digest::MD5 'md5_hex';
use Time::HiRes 'time';

my %seen;
sub backend { my ($what) = @_; return Weir::Backend->new($what) }
my $good = backend(sub { $_[0]->method . ' ' . md5_hex($_[0]->body) . ' ' . length $_[0]->body });
my $hang = backend(sub { my ($req, $conn) = @_; $conn->closed(60); undef });
my $drip = backend(sub { my ($req, $conn) = @_; $conn->send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"); $conn->closed(60); undef });
my @bad = map { backend(sub { [503, [], 'bad'] }) } 1 .. 5;
my @away = map { Weir::free_port() } 1 .. 3;       # nobody listens there
my %vars = (GOOD => $good->addr, HANG => $hang->addr, DRIP => $drip->addr, (map { ("BAD$_" => $bad[$_ - 1]->addr) } 1 .. 5), (map { ("AWAY$_" => "127.0.0.1:$away[$_ - 1]") } 1 .. 3));

my $w = Weir->new(vars => \%vars, conf => <<'EOC')->start;
worker_processes 4;
events { }
http {
    log_format l "$uri $status [$upstream_status] $request_time";
    access_log access.log l;
    client_body_buffer_size 16k;
    proxy_next_upstream error timeout http_503;
    upstream hang { server %%HANG%% max_fails=0; server %%GOOD%% backup; }
    upstream five { server %%BAD1%% max_fails=0; server %%BAD2%% max_fails=0; server %%BAD3%% max_fails=0; server %%BAD4%% max_fails=0; server %%BAD5%% max_fails=0; }
    upstream outage { server %%AWAY1%% max_fails=0; server %%AWAY2%% max_fails=0; server %%AWAY3%% max_fails=0; }
    upstream failing { server %%BAD1%% max_fails=0; server %%BAD2%% max_fails=0; server %%BAD3%% max_fails=0; server %%BAD4%% max_fails=0; server %%BAD5%% max_fails=0; }
    upstream floor { server %%AWAY1%% max_fails=0; server %%AWAY2%% max_fails=0; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /try/ { proxy_next_upstream_try_timeout 2s; proxy_pass http://hang; }
        location /tryonly/ { proxy_next_upstream_try_timeout 200ms; proxy_pass http://%%HANG%%; }
        location /trybody/ { proxy_next_upstream_try_timeout 2s; proxy_read_timeout 3s; proxy_pass http://%%DRIP%%; }
        location /late/ { proxy_deadline 300ms; proxy_pass http://hang; }
        location /latebody/ { proxy_deadline 2s; proxy_pass http://%%DRIP%%; }
        location /intime/ { proxy_deadline 20s; proxy_next_upstream_try_timeout 10s; proxy_next_upstream_backoff 1ms; proxy_pass http://%%GOOD%%; }
        location /once/ { proxy_pass http://five; }
        location /pause/ { proxy_next_upstream_backoff 200ms max=400ms; proxy_pass http://five; }
        location /latepause/ { proxy_next_upstream_backoff 20s max=60s; proxy_deadline 300ms; proxy_pass http://five; }
        location /replay/ { proxy_next_upstream error timeout http_503 non_idempotent; proxy_next_upstream_try_timeout 2s; proxy_pass http://hang; }
        location /outage/ { proxy_next_upstream_budget 20% min=0; proxy_pass http://outage; }
        location /failing/ { proxy_next_upstream_budget 20% min=0; proxy_pass http://failing; }
        location /floor/ { proxy_next_upstream_budget 0% min=2; proxy_pass http://floor; }
    }
}
EOC

sub timed { my $from = time; my $m = $w->get(@_, timeout => 100); return ($m, time - $from) }

my ($m, $took) = timed('/try/');
is($m->body, 'GET ' . md5_hex('') . ' 0', 'a try that takes too long is given up: another peer answers');
ok($took > 1.5, "after its time ($took)");
($m, $took) = timed('/tryonly/');
is($m->status, 504, 'nobody else: 504');
ok($w->wait_error(qr/the try took too long .*reading response header/), 'and the log says why');
($m, $took) = timed('/trybody/');
ok($m->status == 200 && !$m->complete && $took > 2.5, "the body is not bound by it ($took)");

($m, $took) = timed('/late/');
is($m->status, 504, 'the deadline: 504');
ok($took > 0.25 && $took < 19, "in time ($took)");
ok($w->wait_error(qr/the deadline of the request has passed/), 'and the log says why');
($m, $took) = timed('/latebody/');
ok($m->status == 200 && !$m->complete && $took > 1.5 && $took < 19, "the deadline in the body: cut short ($took)");
is($w->get('/intime/', timeout => 100)->status, 200, 'times that are not reached do nothing');

# Each once.
is($w->get('/once/', timeout => 100)->status, 503, 'all have failed: the last answer');
is_deeply([map { $_->requests } @bad], [1, 1, 1, 1, 1], 'no peer was asked twice');
$_->forget for @bad;

# Pauses: four of them for each of 12 requests, at most 200 + 400 * 3 ms each, on average half of that.
my (@times, @kids);
my $from = time;
my @conns = map { my $c = $w->connect(timeout => 100); $c->request('GET', '/pause/', headers => [Connection => 'close']); $c } 1 .. 12;
is($_->response->status, 503, 'after pauses: the last answer') for @conns;
push @times, $_ for map { m{^/pause/ 503 \[(503, ){4}503\] (\S+)} ? $2 : () } grep { m{/pause/} } ($w->wait_access(19));
is(scalar @times, 12, 'five tries each') or diag($w->access_log);
my $sum = 0;
$sum += $_ for @times;
ok($sum > 12 * 0.2 && !(grep { $_ > 60 } @times), "they waited ($sum s)");
my %different = map { (int($_ * 100) => 1) } @times;
ok(keys %different > 3, 'and not all alike');
($m, $took) = timed('/latepause/');
ok($m->status == 504 && $took < 19, "the deadline ends a pause ($took)");
my $left = $w->connect(timeout => 100);
$left->request('GET', '/latepause/');
$left->close;

# Bodies go again, from memory and from a file.
for my $n (10, 200000) {
    my $body = 'x' x $n;
    my $c = $w->connect(timeout => 100);
    $c->request('POST', '/replay/', body => $body);
    is($c->response->body, 'POST ' . md5_hex($body) . " $n", "a body of $n bytes is sent again");
    $c->send("POST /replay/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" . sprintf("%x\r\n%s\r\n0\r\n\r\n", $n, $body));
    is($c->response->body, 'POST ' . md5_hex($body) . " $n", 'chunked as well');
}

# The budget: a full outage, many requests, four workers.
sub many {
    my ($uri, $n) = @_;
    my @c = map { $w->connect(timeout => 100) } 1 .. 20;
    my %status;
    for my $round (1 .. $n / @c) {
        $_->request('GET', $uri) for @c;
        $status{ $_->response->status }++ for @c;
    }
    return \%status;
}
$_->forget for @bad;
is_deeply(many('/failing/', 1000), { 503 => 1000 }, 'an outage: everybody is told');
my $asked = 0;
$asked += $_->requests for @bad;
ok($asked >= 1100 && $asked <= 1205, "1000 requests made $asked tries: at most 1.2 each");
is_deeply(many('/outage/', 1000), { 502 => 1000 }, 'nobody listens: everybody is told');
$w->wait_access(2000);
my $tries = 0;
for ($w->access_log =~ m{^/outage/ 502 \[(.*?)\]}mg) { $tries += 1 + tr/,// }
ok($tries >= 1100 && $tries <= 1205, "1000 requests made $tries tries");
ok($w->wait_error(qr/the budget of "failing" is spent/), 'the log tells');
many('/floor/', 100);
ok(wait_for(sub { (my @f = $w->access_log =~ m{^/floor/}mg) >= 100 }), 'the floor');
my $both = () = $w->access_log =~ m{^/floor/ 502 \[502, 502\]}mg;
ok($both >= 20 && $both <= 24, "min=2: $both of 100 were tried again within ten seconds");

for my $line ('proxy_next_upstream_budget 20;', 'proxy_next_upstream_budget 20% max=3;', 'proxy_next_upstream_backoff 0;', 'proxy_next_upstream_backoff 1s max=10ms;', 'proxy_next_upstream_try_timeout x;', 'proxy_deadline;') {
    my $wrong = Weir->new(conf => "events { } http { server { listen 127.0.0.1:1; location / { $line proxy_pass http://127.0.0.1:1; } } }", plain => 1);
    my ($code, $out) = $wrong->t_binary;
    is($code, 1, "$line is refused") or diag($out);
}
done_testing;
