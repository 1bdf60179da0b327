# limit_req and limit_conn: as nginx; exact over four workers; what is beyond nginx; a worker killed; reload.
use lib 't/lib';
use Weir;
use Weir::Compare;
use JSON::PP;
use Time::HiRes qw(time sleep);

# What is still asked for at a backend until the client lets go.
my $slow = Weir::Backend->new(sub { my ($req, $conn) = @_; return 'ready' if $req->uri =~ /fast/; $conn->rest; return undef });

my $conf = <<'EOC';
events { }
http {
    set_real_ip_from 127.0.0.1;
    limit_req_zone $arg_k zone=slow:1m rate=1r/m;
    limit_req_zone $arg_k zone=other:1m rate=1r/m;
    limit_req_zone $arg_k$arg_j zone=two:1m rate=1r/m;
    limit_req_zone $arg_k zone=quick:1m rate=2r/s;
    limit_conn_zone $arg_k zone=conn:1m;
    limit_conn_zone $server_name zone=server:1m;
    log_format limits '$uri $limit_req_status $limit_conn_status $status';
    access_log %%TESTDIR%%/limits.log limits;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name one;
        location / { return 200 ok; }
        location /plain { limit_req zone=slow; alias %%TESTDIR%%/html; }
        location /burst { limit_req zone=slow burst=3 nodelay; alias %%TESTDIR%%/html; }
        location /status { limit_req zone=slow; limit_req_status 429; alias %%TESTDIR%%/html; }
        location /dry { limit_req zone=slow burst=1; limit_req_dry_run on; limit_req_log_level warn; alias %%TESTDIR%%/html; }
        location /both { limit_req zone=other burst=2 nodelay; limit_req zone=two; limit_req_log_level info; alias %%TESTDIR%%/html; }
        location /page { limit_req zone=slow; error_page 503 =200 /page/sorry; alias %%TESTDIR%%/html; }
        location /delay { limit_req zone=quick burst=5; alias %%TESTDIR%%/html; }
        location /part { limit_req zone=quick burst=5 delay=3; alias %%TESTDIR%%/html; }
        location /conn { limit_conn conn 1; proxy_pass http://%%SLOW%%; }
        location /conn2 { limit_conn conn 2; limit_conn server 1; limit_conn_status 509; limit_conn_log_level notice; proxy_pass http://%%SLOW%%; }
        location /conndry { limit_conn conn 1; limit_conn_dry_run on; proxy_pass http://%%SLOW%%; }
    }
}
EOC
my %files = map { ("html/$_" => "$_\n") } qw(a sorry);
sub text { my ($uri) = @_; return "GET $uri HTTP/1.1\r\nHost: one\r\nConnection: close\r\n\r\n" }
sub series { my ($uri, $n) = @_; return ("$uri, $n times" => sub { my $w = shift; my @m = map { $w->raw(text($uri)) } 1 .. $n; $m[-1]{body} = join ' ', map { $_->status } @m; return $m[-1] }) }
sub all { my (@uris) = @_; return ("@uris" => sub { my $w = shift; my @m = map { $w->raw(text($_)) } @uris; $m[-1]{body} = join ' ', map { $_->status } @m; return $m[-1] }) }
# Holds some requests, then asks for others, lets go, asks again.
sub held { my ($hold, @ask) = @_; return ("while @$hold: @ask" => sub {
    my $w = shift;
    my $from = $slow->requests;
    my @c = map { my $c = $w->connect; $c->send(text($_)); $c } @$hold;
    wait_for(sub { $slow->requests >= $from + @c });
    my @m = map { $w->raw(text($_)) } @ask;
    my $lines = $w->access_log('limits.log') =~ tr/\n//;
    $_->close for @c;
    wait_for(sub { ($w->access_log('limits.log') =~ tr/\n//) >= $lines + @c });
    push @m, map { $w->raw(text($_)) } @ask;
    $m[-1]{body} = join ' ', map { $_->status } @m;
    return $m[-1];
}) }

my ($n, $w) = Weir->compare($conf, [
    series('/plain/a?k=1', 3), series('/plain/a?k=2', 2), series('/plain/a', 3), series('/burst/a?k=3', 6), series('/status/a?k=4', 3),
    series('/dry/a?k=5', 4), series('/page/a?k=6', 3), series('/both/a?k=7', 2), all(map { "/both/a?k=8&j=$_" } 1 .. 5), all('/both/a?k=9&j=1', '/both/a?k=9&j=1', '/both/a?k=9&j=2', '/both/a?k=9&j=3', '/both/a?k=9&j=4'),
    series('/delay/a?k=10', 3), series('/part/a?k=11', 6), all('/plain/a?k=12', '/burst/a?k=12', '/burst/a?k=12', '/status/a?k=12'),
    'a long key' => text('/plain/a?k=' . 'x' x 900), 'the long key again' => text('/plain/a?k=' . 'x' x 900),
    held(['/conn/x?k=1'], '/conn/fast?k=1', '/conn/fast?k=2', '/conn/fast'), held(['/conn2/x?k=1'], '/conn2/fast?k=2'),
    held(['/conn/x', '/conn/x'], '/conn/fast'), held(['/conndry/x?k=3'], '/conndry/fast?k=3'), held(['/conn/x?k=4', '/conn/x?k=5'], '/conn/fast?k=4', '/conn/fast?k=5', '/conn/fast?k=6'),
], files => \%files, vars => { SLOW => $slow->addr }, ignore => ['content-length', 'via']);
$n->stop; $w->stop;
is(join("\n", sort split /\n/, $w->access_log('limits.log')), join("\n", sort split /\n/, $n->access_log('limits.log')), 'statuses in the log as nginx');
# nginx's excess leaks 16/1000 a second where 1r/m is 16.67: the thousandths are left out.
sub lines { my $s = shift; return join '', map { s/^\S+ \S+ //; s/\d+#\d+: \*\d+ //; s/excess: ([\d.]+)/sprintf 'excess: %.0f', $1/e; s/, upstream: .*?(?=, host)//; "$_\n" } grep { /limiting|delaying/ && !/delay|part/ } split /\n/, $s->error_log }
is(lines($w), lines($n), 'error lines as nginx');

# Four workers, one key: exactly what the rate allows.
my $exact = Weir->new(conf => <<'EOC', files => \%files)->start;
worker_processes 4;
events { }
http {
    limit_req_zone $server_name zone=all:64k rate=10r/s;
    limit_req_zone $server_name zone=hour:64k rate=600r/h;
    log_format passed '$msec $limit_req_status $pid';
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name one;
        keepalive_requests 1000000;
        location / { limit_req zone=all burst=30 nodelay; limit_req_log_level info; access_log %%TESTDIR%%/passed.log passed; alias %%TESTDIR%%/html/; }
        location /hour/ { limit_req zone=hour burst=30 nodelay; limit_req_log_level info; access_log %%TESTDIR%%/hour.log passed; alias %%TESTDIR%%/html/; }
    }
}
EOC
# For so long, and until there were enough. The bucket is full after the first few, and would take three seconds to run empty.
sub flood {
    my ($uri, $seconds) = @_;
    my @pids;
    for (1 .. 2) {
        my $pid = fork // die;
        push @pids, $pid;
        next if $pid;
        my $until = time + $seconds;
        my @c = map { $exact->connect } 1 .. 8;
        my $ask = "GET $uri HTTP/1.1\r\nHost: one\r\n\r\n";
        for (my $round = 0; $round < 20 || time < $until; $round++) { $_->send($ask x 4) for @c; for my $c (@c) { $c->response(method => 'GET') for 1 .. 4 } }
        Weir::leave();
    }
    waitpid $_, 0 for @pids;
}
flood('/a', 2);
flood('/hour/a', 0.5);
$exact->stop;
for (['passed.log', 10], ['hour.log', 600 / 3600]) {
    my ($log, $rate) = @$_;
    my @lines = sort map { [split] } split /\n/, $exact->access_log($log);
    @lines = sort { $a->[0] <=> $b->[0] } @lines;
    my @passed = grep { $_->[1] eq 'PASSED' } @lines;
    my %pids = map { ($_->[2] => 1) } @lines;
    my $want = 1 + 30 + $rate * ($lines[-1][0] - $passed[0][0]);
    my $diff = @passed - $want;
    ok(abs($diff) <= 1.0 + $rate / 500, sprintf '%s: %d of %d requests passed over %d workers, %.2f allowed', $log, scalar @passed, scalar @lines, scalar keys %pids, $want);
    ok(@lines > 5 * @passed, 'under load');
}

# Beyond nginx: rates, fields, prefixes, full zones, reload, a worker's death.
my $own_conf = <<'EOC';
worker_processes 2;
events { }
http {
    set_real_ip_from 127.0.0.1;
    limit_req_zone $arg_k zone=hour:1m rate=30r/h;
    limit_req_zone $arg_k zone=day:1m rate=1r/d;
    limit_req_zone $binary_remote_addr zone=net:1m rate=1r/d ipv6_prefix=64;
    limit_req_zone $arg_k zone=small:32k rate=1r/d;
    limit_conn_zone $arg_k zone=conn:32k;
    limit_conn_zone $arg_k zone=conn2:32k;
    limit_req_zone $arg_k zone=dry:32k rate=20r/s;
    limit_req_zone $arg_k zone=wait:32k rate=2r/s;
    limit_req_status 429;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location /hour/ { limit_req zone=hour burst=2 nodelay; limit_req_fields retry_after rate_limit; alias %%TESTDIR%%/html/; }
        location /day/ { limit_req zone=day; limit_req_fields retry_after; alias %%TESTDIR%%/html/; }
        location /net/ { limit_req zone=net; alias %%TESTDIR%%/html/; }
        location /small/ { limit_req zone=small; alias %%TESTDIR%%/html/; }
        location /conn/ { limit_conn conn 3; proxy_pass http://%%SLOW%%; }
        location /here/ { limit_conn conn 3; alias %%TESTDIR%%/html/; }      # the same places, without a backend that may be slow to answer
        location /pid { return 200 $pid; }
        location /dry/ { limit_req zone=dry burst=1; limit_req_dry_run on; limit_conn conn2 1; limit_conn_dry_run on; proxy_pass http://%%SLOW%%; }
        location /wait/ { limit_req zone=wait burst=3; alias %%TESTDIR%%/html/; }
        location /api { api write=on; }
    }
}
EOC
my $own = Weir->new(conf => $own_conf, files => \%files, vars => { SLOW => $slow->addr })->start;
my @m = map { $own->get('/hour/a?k=1') } 1 .. 4;
is(join(' ', map { $_->status } @m), '200 200 200 429', '30r/h with a burst of 2');
is($m[0]->header('RateLimit-Policy'), '"hour";q=3;w=360', 'RateLimit-Policy');
is(join(' | ', map { $_->header('RateLimit') } @m[0, 1, 2]), '"hour";r=2;t=0 | "hour";r=1;t=120 | "hour";r=0;t=240', 'RateLimit');
is($m[3]->header('RateLimit'), '"hour";r=0;t=240', 'RateLimit of a refused one');
ok(!$m[0]->header('Retry-After'), 'no Retry-After where it passes');
is($m[3]->header('Retry-After'), 120, 'Retry-After');
@m = map { $own->get('/day/a?k=1') } 1, 2;
is($m[1]->header('Retry-After'), 86400, 'a day');
ok(!$m[1]->header('RateLimit'), 'only what was asked for');
sub from { return $own->get('/net/a', headers => ['X-Real-IP' => $_[0]])->status }
is(from('2001:db8:1:1::1'), 200, 'the first of a network');
is(from('2001:db8:1:1:ffff::2'), 429, 'its neighbour');
is(from('2001:db8:1:2::1'), 200, 'another network');
is(from('192.0.2.1') . from('192.0.2.2') . from('192.0.2.2'), '200200429', 'IPv4 addresses are whole');

ok($own->reload, 'reload');
is($own->get('/hour/a?k=1')->status, 429, 'counts survive a reload');
my $c = $own->connect;
for my $k (1 .. 900) { $c->request('GET', "/small/a?k=$k"); $c->response(method => 'GET') }
is($own->get('/small/a?k=900')->status, 429, 'the newest key is known in a full zone');
is($own->get('/small/a?k=1')->status, 200, 'the oldest one was forgotten');
is(scalar(() = $own->error_log =~ /zone "small" of limit_req is full/g), 1, 'which was told once') or diag($own->error_log);

# What each zone did, for the API.
sub api { my ($path, $method) = @_; my $m = $own->raw(($method // 'GET') . " /api/9/http/$path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); return length $m->body ? decode_json($m->body) : $m->status }
is_deeply(api('limit_reqs/hour'), { passed => 3, delayed => 0, rejected => 2, delayed_dry_run => 0, rejected_dry_run => 0 }, 'limit_reqs, over a reload');
my $wait = $own->connect;
$wait->send("GET /wait/a?k=1 HTTP/1.1\r\nHost: a\r\n\r\n" x 3);       # none of which comes late
is(join(' ', map { $wait->response(method => 'GET')->status } 1 .. 3), '200 200 200', 'in a row');
is(api('limit_reqs/wait')->{passed} + api('limit_reqs/wait')->{delayed}, 3, 'passed or delayed');
cmp_ok(api('limit_reqs/wait')->{delayed}, '>', 0, 'delayed');
my $ask = $slow->requests;
my $first = $own->connect;
$first->send("GET /dry/x?k=1 HTTP/1.1\r\nHost: a\r\n\r\n");
wait_for(sub { $slow->requests > $ask });
$_->response(method => 'GET') for map { my $c = $own->connect; $c->send("GET /dry/fast?k=1 HTTP/1.1\r\nHost: a\r\n\r\n" x 8); ($c) x 8 } 1;
my $dry = api('limit_reqs/dry');
is($dry->{passed} + $dry->{delayed_dry_run} + $dry->{rejected_dry_run}, 9, 'dry runs') or diag(explain($dry));
is($dry->{delayed} + $dry->{rejected}, 0, 'are not counted as others');
is_deeply(api('limit_conns/conn2'), { passed => 1, rejected => 0, rejected_dry_run => 8 }, 'limit_conns');
$first->close;
is_deeply([sort keys %{ api('limit_conns') }], ['conn', 'conn2'], 'all of them');
is(api('limit_reqs/hour', 'DELETE') . api('limit_reqs/hour')->{passed}, '2040', 'begins anew');
is(api('limit_reqs/none')->{error}{code} . api('limit_conns/none')->{error}{code}, 'LimitReqNotFoundLimitConnNotFound', 'no such zone');

# Requests in hand when their worker is killed are given back.
sub status_of { return $own->get('/here/a?k=1')->status }
my $from = $slow->requests;
my @held = map { my $c = $own->connect; $c->send("GET /conn/x?k=1 HTTP/1.1\r\nHost: a\r\n\r\n"); $c } 1 .. 3;
wait_for(sub { $slow->requests >= $from + 3 });
is(status_of(), 503, 'three are there');
my @old = $own->workers;
kill KILL => @old;
$own->expect_log(qr/exited on signal 9/);
wait_for(sub { my @now = $own->workers; @now == 2 && !grep { my $p = $_; grep { $_ == $p } @old } @now });
ok(wait_for(sub { status_of() == 200 }), 'after their workers were killed the places are free');
$_->close for @held;
is(status_of(), 200, 'and stay so');
like($own->get('/pid')->body, qr/^\d+$/, 'it serves on');

# Full: nobody slips through, and those who are there can leave.
$from = $slow->requests;
my $most = 0;
my @many;
while (@many < 700) {
    my $k = @many + 100;
    my $c = $own->connect;
    $c->send("GET /conn/x?k=$k HTTP/1.1\r\nHost: a\r\n\r\n");
    push @many, $c;
    last if @many % 50 == 0 && $own->error_log =~ /zone "conn" of limit_conn is full/;
}
ok(wait_for(sub { $own->error_log =~ /zone "conn" of limit_conn is full/ }), 'a full zone of limit_conn is told after ' . @many);
is($own->get('/here/a?k=new')->status, 503, 'and refuses new keys');
$_->close for @many;
ok(wait_for(sub { my $m = $own->get('/here/a?k=new'); $m && $m->status == 200 }), 'until some are gone');

for (['limit_req_zone $uri zone=a:1m;limit_req_zone $host zone=a:1m;', 'limit_req_zone "a" is already bound to key "$uri"'], ['limit_req_zone $uri zone=a:1k;', 'zone "zone=a:1k" is too small'],
    ['limit_req_zone $uri rate=1r/s;', '"limit_req_zone" must have "zone" parameter'], ['limit_req_zone $uri zone=a:1m rate=0r/s;', 'invalid rate "rate=0r/s"'],
    ['limit_req zone=none;', 'zero size shared memory zone "none"'], ['limit_req burst=1;', '"limit_req" must have "zone" parameter'], ['limit_conn none 1;', 'zero size shared memory zone "none"'],
    ['limit_conn_zone $uri zone=a:1m; limit_conn a 0;', 'invalid number of connections "0"'], ['limit_conn_zone $uri zone=a:1m; limit_conn a 65536;', 'connection limit must be less 65536'],
    ['limit_req_zone $uri zone=a:1m; limit_req zone=a; limit_req zone=a;', 'is duplicate'], ['limit_req_status 200;', 'value must be between 400 and 599'],
    ['limit_req_zone $uri zone=a:1m ipv6_prefix=64;', 'is for the key "$binary_remote_addr"']) {
    my ($line, $why) = @$_;
    my $bad = Weir->new(conf => "events { }\nhttp { $line }\n");
    my ($code, $said) = $bad->t_binary;
    is($code, 1, "$line is refused");
    like($said, qr/\Q$why\E/, $why);
    $bad->expect_log(qr/emerg/);
}

done_testing;
