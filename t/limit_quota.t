# limit_quota: bytes of a key in a period, over connections and workers; refused with a page; what runs is closed, or finishes; tunnels; reload; API.
use lib 't/lib';
use Weir;
use JSON::PP;
use Time::HiRes qw(time);

my $raw = Weir::Backend->new(sub { my $c = shift; while (defined(my $l = $c->line)) { $c->send('x' x $1) if $l =~ /^send (\d+)/; $c->send('took ' . length($c->bytes($1)) . "\n") if $l =~ /^take (\d+)/ } $c->close }, connection => 1);
my $slow = Weir::Backend->new(sub { my ($req, $c) = @_; $c->send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"); for (1 .. 100) { $c->send('y' x 65536) or last } $c->close; return undef });
my $conf = <<'EOC';
worker_processes 2;
events { }
http {
    limit_quota_zone $arg_k zone=day:1m quota=10k;
    limit_quota_zone $arg_j zone=month:1m quota=1m per=month;
    limit_quota_zone $arg_k zone=big:1m quota=1m per=hour;
    limit_quota_zone $arg_k zone=short:1m quota=5k per=2s;
    limit_quota_zone $remote_user zone=user:1m quota=1m per=week;
    limit_quota_zone $arg_k zone=full:32k quota=100k;
    limit_quota_zone $arg_k zone=roll:1m quota=40m per=3s;
    log_format q '$arg_k|$status|$limit_quota_used|$limit_quota_left|$limit_quota_reset|$body_bytes_sent|$request_length|$bytes_sent|';
    access_log %%TESTDIR%%/access.log q;
    forward_proxy_ports all;
    forward_proxy_address allow loopback;
    forward_proxy_access allow all;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { limit_quota zone=day; alias %%TESTDIR%%/html/; }
        location /both/ { limit_quota zone=day; limit_quota zone=month; limit_quota_status 509; alias %%TESTDIR%%/html/; }
        location /page/ { limit_quota zone=day; error_page 429 =200 /sorry; alias %%TESTDIR%%/html/; }
        location = /sorry { return 200 "sorry\n"; }
        location /big/ { limit_quota zone=big; proxy_pass http://%%SLOW%%; }
        location /bigfile/ { limit_quota zone=big; alias %%TESTDIR%%/html/; }
        location /finish/ { limit_quota zone=big running=finish; proxy_pass http://%%SLOW%%; }
        location /short/ { limit_quota zone=short; alias %%TESTDIR%%/html/; }
        location /roll/ { limit_quota zone=roll; alias %%TESTDIR%%/html/; }
        location /full/ { limit_quota zone=full; alias %%TESTDIR%%/html/; }
        location /api { access_log off; api write=on; }
    }
    server { listen 127.0.0.1:%%PORT_1%%; forward_proxy on; auth_basic a; auth_basic_user_file %%TESTDIR%%/users; limit_quota zone=user; }
    server { listen 127.0.0.1:%%PORT_2%%; forward_proxy on; auth_basic a; auth_basic_user_file %%TESTDIR%%/users; limit_quota zone=user running=finish; }
}
EOC
my $w = Weir->new(conf => $conf, files => { 'html/a' => 'a' x 4000, 'html/b' => 'b' x 900, 'html/m' => 'm' x 3_000_000, 'html/half' => 'h' x 900_000, 'html/huge' => 'u' x 12_000_000, users => join('', map { "$_:{PLAIN}pw\n" } 'a' .. 'f') }, vars => { SLOW => $slow->addr })->start;
sub statuses { return join ' ', map { $w->get($_)->status } @_ }
sub zone { return decode_json($w->get("/api/9/http/limit_quotas/$_[0]")->body) }
# The requests are counted when they have ended: the log says so.
my $lines = 0;
sub settled { my $n = shift; $lines += $n; my @l = $w->wait_access($lines); return $l[-1] }

my @m;
for (1 .. 3) { push @m, $w->get('/a?k=1'); settled(1) }
is(join(' ', map { $_->status } @m), '200 200 200', 'three of 4000 bytes begin within 10k');
my $m = $w->get('/a?k=1');
is($m->status, 429, 'the fourth is refused');
like($m->body, qr{<p>Your quota of 10k bytes \(per day\) is used up\. It begins anew at \d\d \w{3} \d{4} 00:00:00 [+-]\d{4}\.</p>}, 'by a page that says why and until when');
ok($m->header('Retry-After') > 0 && $m->header('Retry-After') <= 90000, 'and Retry-After');
my @l = split /\|/, settled(1);
is("$l[1] $l[3]", '429 0', 'nothing is left');
my ($first) = $w->wait_access(1);
@l = split /\|/, $first;
is($l[2], $l[6] + $l[7], 'what is counted is the request and the response, with their heads');
is($l[2] + $l[3], 10240, 'used and left');
is(statuses('/a?k=2', '/a', '/a', '/a', '/a'), '200 200 200 200 200', 'another key, and none');
settled(5);
$m = $w->get('/page/a?k=1');
is($m->status . $m->body, "200sorry\n", 'error_page');
is(statuses('/both/a?k=3&j=1'), '200', 'two quotas');
settled(2);
like($w->error_log, qr/\[error\].*quota of zone "day" is used up: \d+ of 10240 bytes, client/, 'logged');
is_deeply(zone('day'), { passed => 3 + 5 + 1, rejected => 2, closed => 0 }, 'counted for the API');
ok($w->reload, 'reload');
is(statuses('/both/a?k=1&j=2'), '509', 'the quota survives a reload; another status');
settled(1);

# What runs when it is used up.
$m = $w->get('/big/x?k=10');
ok(!$m->complete || length $m->body < 6_553_600, 'a running response is broken off') or diag(length $m->body);
ok(length $m->body >= 700_000, 'not before');
ok(length $m->body <= 1_048_576 + 2 * 262_144, 'nor much later');
settled(1);
ok($w->wait_error(qr/quota of zone "big" is used up: its response is closed/), 'told');
is(zone('big')->{closed}, 1, 'and counted');
is(statuses('/bigfile/b?k=10', '/bigfile/b?k=11'), '429 200', 'then refused');
$m = $w->get('/bigfile/m?k=12');
ok(length $m->body < 3_000_000, 'a file too');
ok($w->wait_error(qr/its response is closed.*GET .bigfile/), 'told');
my $gone = $w->connect(rcvbuf => 4096);
$gone->send("GET /bigfile/half?k=14 HTTP/1.1\r\nHost: x\r\n\r\n");
ok(length $gone->bytes(1000), 'a client that takes little');
$gone->reset;
@l = split /\|/, settled(4);
is("$l[0] $l[2]", '14 ' . ($l[6] + $l[7]), 'pays for what was sent');
$m = $w->get('/finish/x?k=13');
is(length $m->body, 6_553_600, 'with running=finish it goes on');
settled(1);
is(statuses('/finish/x?k=13'), '429', 'and the next is refused');

# A new period.
$w->get('/short/a?k=20') for 1, 2;
ok(wait_for(sub { $w->get('/short/b?k=20')->status == 429 }), 'used up');
ok(wait_for(sub { $w->get('/short/b?k=20')->status == 200 }), 'and begun anew');

# A response that was counted in one period and is broken off in the next gives nothing back there.
sub period { return int(time / 3) }
my ($seen, $paid) = (0, '');
for my $try (1 .. 8) {
    my $old = period();
    my $held = $w->connect(rcvbuf => 4096);
    $held->send("GET /roll/huge?k=r$try HTTP/1.1\r\nHost: x\r\n\r\n");
    $held->bytes(1000);
    wait_for(sub { period() != $old });
    my $new = period();
    $w->get("/roll/b?k=r$try") for 1 .. 10;
    $held->reset;
    ok(wait_for(sub { scalar grep { /^r$try\|/ } split /\n/, $w->access_log } ), 'a client leaves');
    ok(wait_for(sub { 11 == grep { /^r$try\|/ } split /\n/, $w->access_log }), 'all have ended');
    $w->get("/roll/b?k=r$try");
    next if period() != $new;
    ok(wait_for(sub { 12 == grep { /^r$try\|/ } split /\n/, $w->access_log }), 'and one more');
    ($paid) = (map { (split /\|/)[2] } grep { /^r$try\|/ } split /\n/, $w->access_log)[11];
    $seen = 1;
    last;
}
ok($seen, 'all in one period');
cmp_ok($paid || 0, '>=', 11 * 900, 'what was used in the new period stays');
$lines = $w->access_log =~ tr/\n//;

# Tunnels, both ways, of a user together.
use MIME::Base64 qw(encode_base64);
sub tunnel {
    my ($user, $port) = @_;
    my $c = $w->connect(port => $port // 1);
    $c->send('CONNECT ' . $raw->addr . " HTTP/1.1\r\nHost: " . $raw->addr . "\r\nProxy-Authorization: Basic " . encode_base64("$user:pw", '') . "\r\n\r\n");
    return ($c, $c->response(method => 'CONNECT')->status);
}
my ($c, $status) = tunnel('a');
is($status, 200, 'a tunnel');
$c->send("send 300000\n");
is(length $c->bytes(300000), 300000, 'down');
$c->send("take 300000\n" . 'y' x 300000);
is($c->line, "took 300000\n", 'up');
my ($other, $also) = tunnel('a');
is($also, 200, 'a second of the user');
$c->send("send 3000000\n");
my $got = length $c->rest;
ok($got >= 300_000 && $got <= 448_576 + 2 * 262_144, "a running tunnel is closed: $got bytes");
$other->send("send 10\n");
is($other->rest, '', 'the other too');
is((tunnel('a'))[1], 429, 'a new one is refused');
is((tunnel('b'))[1], 200, 'not that of somebody else');
ok($w->wait_error(qr/quota of zone "user" is used up: a tunnel of client 127\.0\.0\.1 is closed/), 'told');
($c, $status) = tunnel('c', 2);
$c->send("send 3000000\n");
is(length $c->bytes(3000000), 3000000, 'running=finish: a tunnel goes on');
is((tunnel('c', 2))[1], 429, 'and the next is refused');
my $g = $w->connect(port => 1);
$g->send("GET http://" . $raw->addr . "/ HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic " . encode_base64('a:pw', '') . "\r\n\r\n");
is($g->response(method => 'GET')->status, 429, 'a plain request of the user too');

# A zone that is full forgets, and says so once.
$c = $w->connect;
for my $k (1 .. 900) { $c->request('GET', "/full/b?k=$k"); $c->response(method => 'GET') }
ok($w->wait_error(qr/zone "full" of limit_quota is full/), 'a full zone is told');
is(scalar(() = $w->error_log =~ /zone "full" of limit_quota is full/g), 1, 'once');

for (['limit_quota_zone $uri zone=a:1m per=day;', '"limit_quota_zone" must have "quota" parameter'], ['limit_quota_zone $uri zone=a:1m quota=0;', 'invalid parameter "quota=0"'], ['limit_quota_zone $uri zone=a:1m quota=1k per=year;', 'invalid parameter "per=year"'],
    ['limit_quota zone=none;', 'zero size shared memory zone "none"'], ['limit_quota running=close;', '"limit_quota" must have "zone" parameter'], ['limit_quota_zone $uri zone=a:1m quota=1k; limit_quota zone=a; limit_quota zone=a;', 'is duplicate']) {
    my ($line, $why) = @$_;
    my ($code, $said) = Weir->new(conf => "events { }\nhttp { $line }\n")->expect_log(qr/emerg/)->t_binary;
    is($code, 1, "$line is refused");
    like($said, qr/\Q$why\E/, $why);
}
done_testing;
