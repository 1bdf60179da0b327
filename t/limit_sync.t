# limit_req over a fleet: two servers that count together in Redis, and what they do when Redis hangs, dies, comes back or refuses.
use lib 't/lib';
use Weir;
use IO::Socket::INET;
use Digest::SHA qw(sha256);
use JSON::PP;
use Time::HiRes qw(time);

my $redis_server = '/usr/bin/redis-server';
plan(skip_all => 'no redis-server') unless -x $redis_server;

# ---- Redis

my $port = Weir::free_port();
my $dir = Weir::scratch() . '/redis';
mkdir $dir;
sub dial { return IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 5) }
my $pid;
sub start_redis {
    $pid = fork // die;
    if (!$pid) {
        open STDOUT, '>>', "$dir/log"; open STDERR, '>&', \*STDOUT;
        exec $redis_server, '--port', $port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', $dir, '--requirepass', 'seKret', '--unixsocket', "$dir/sock", '--unixsocketperm', '777', '--databases', 8 or Weir::leave(127);
    }
    wait_for(sub { -S "$dir/sock" && dial() }, 20) or die Weir::slurp("$dir/log");
}
sub stop_redis { kill KILL => $pid; waitpid $pid, 0; unlink "$dir/sock" }
sub ask_redis {
    my @words = @_;
    my $s = dial() or die "no Redis: $!";
    print $s join '', map { my $c = $_; '*' . @$c . "\r\n" . join('', map { '$' . length($_) . "\r\n$_\r\n" } @$c) } ['AUTH', 'seKret'], ['SELECT', 3], [@words];
    <$s> for 1, 2;
    my $line = <$s>;
    $line = <$s> if $line =~ /^\$\d/;
    $line =~ s/^:|\r\n//g;
    return $line;
}
END { local $?; if ($pid) { kill CONT => $pid; kill KILL => $pid; waitpid $pid, 0 } }
start_redis();

# ---- two servers

my $conf = <<'EOC';
worker_processes 2;
events { worker_connections 4096; }
http {
    limit_req_zone $server_name zone=rate:1m rate=10r/s sync=%%URL%% sync_timeout=10s;
    limit_req_zone $arg_k zone=few:1m rate=1r/h sync=%%URL%% sync_timeout=10s;
    limit_req_zone $arg_j zone=other:1m rate=1r/h sync=%%URL%% sync_timeout=10s;
    limit_req_zone $arg_k zone=soon:1m rate=1r/h sync=%%URL%%;
    limit_req_zone $arg_k zone=slow:1m rate=10r/s sync=%%URL%% sync_timeout=10s;
    limit_req_zone $arg_k zone=own:1m rate=1r/h;
    limit_req_log_level info;
    limit_req_status 429;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name one;
        keepalive_requests 1000000;
        location /rate/ { limit_req zone=rate burst=30 nodelay; alias %%TESTDIR%%/html/; }
        location /few/ { limit_req zone=few burst=3 nodelay; limit_req_fields retry_after rate_limit; alias %%TESTDIR%%/html/; }
        location /both/ { limit_req zone=few burst=3 nodelay; limit_req zone=other; alias %%TESTDIR%%/html/; }
        location /mixed/ { limit_req zone=own burst=1 nodelay; limit_req zone=few burst=3 nodelay; alias %%TESTDIR%%/html/; }
        location /late/ { limit_req zone=soon burst=3 nodelay; limit_req zone=own; alias %%TESTDIR%%/html/; }
        location /soon/ { limit_req zone=soon burst=3 nodelay; alias %%TESTDIR%%/html/; }
        location /slow/ { limit_req zone=slow burst=3; alias %%TESTDIR%%/html/; }
        location /dry/ { limit_req zone=few burst=1 nodelay; limit_req_dry_run on; alias %%TESTDIR%%/html/; }
        location /api { api write=on; }
    }
}
EOC
my %files = ('html/a' => 'a');
my @urls = ("redis://:seKret\@127.0.0.1:$port/3", "redis://default:s%65Kret\@unix:$dir/sock:/3");
my ($one, $two) = map { Weir->new(conf => $conf, files => \%files, vars => { URL => $_ }, log_level => 'debug')->start } @urls;
sub zone { my ($w, $name) = @_; return decode_json($w->get("/api/9/http/limit_reqs/$name")->body) }
# All workers are connected: what they decide is answered.
sub together {
    my $w = shift;
    state_reset($w);
    return wait_for(sub {
        my @c = map { $w->connect } 1 .. 8;
        my $before = zone($w, 'few')->{sync}{answered};
        $_->get('/few/a?k=probe' . rand) for @c;
        return zone($w, 'few')->{sync}{answered} == $before + 8;
    }, 20);
}
sub state_reset { $_[0]->raw("DELETE /api/9/http/limit_reqs/$_ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") for qw(few soon rate slow) }
sub statuses { my ($uri, @w) = @_; return join ' ', map { $_->get($uri)->status } @w }
sub told { my ($w, $what) = @_; return scalar(() = $w->error_log =~ /limit_req: Redis server .*? is $what/g) }

ok(together($one) && together($two), 'both are connected') or diag($one->error_log =~ /^(.*Redis.*)$/m, $two->error_log =~ /^(.*Redis.*)$/m);
is(told($_, 'away') . told($_, 'back'), '00', 'nothing to say of it') for $one, $two;
is(statuses('/few/a?k=1', ($one, $two) x 3), '200 200 200 200 429 429', 'one count over both');
my $m = $two->get('/few/a?k=1');
my $after = $m->header('Retry-After') // 0;
ok(abs($after - 3600) < 60, 'Retry-After is the fleet\'s');
is($m->header('RateLimit'), '"few";r=0;t=' . ($after + 2 * 3600), 'and RateLimit');
is(statuses('/both/a?k=2&j=2', $one, $two, $one), '200 429 429', 'two zones');
is(statuses('/few/a?k=2', ($one, $two) x 2), '200 200 200 429', 'what the second refused was given back to the first');
is(statuses('/mixed/a?k=3', $one, $one, $one, $two, $two), '200 200 429 200 200', 'one of our own and one of all');
is(statuses('/few/a?k=3', $one), '429', 'which counts what our own let in');
is(statuses('/dry/a?k=4', ($one, $two) x 3), join(' ', (200) x 6), 'a dry run');
is(zone($one, 'few')->{rejected_dry_run} + zone($two, 'few')->{rejected_dry_run}, 4, 'counted');
my $from = time;
is(statuses('/slow/a?k=5', ($one, $two) x 2), '200 200 200 200', 'delayed');
cmp_ok(time - $from, '>=', 0.29, 'as long as the fleet has to wait');
is(join(' ', map { zone($_, 'slow')->{delayed} } $one, $two), '1 2', 'each counts its own');
sub name_of { my ($zone, $key) = @_; return "weir:limit_req:$zone:" . substr(unpack('H*', sha256($key)), 0, 32) }
like(ask_redis('GET', name_of('few', 1)), qr/^\d{13} \d+$/, 'a bucket is a key');
cmp_ok(ask_redis('PTTL', name_of('few', 1)), '>', 4 * 3600000 - 60000, 'which expires when it is empty');

# ---- exactly

sub flood {
    my $seconds = shift;
    my @pids;
    for my $w ($one, $two) {
        my $child = fork // die;
        push @pids, $child;
        next if $child;
        my $until = time + $seconds;
        my @c = map { $w->connect } 1 .. 6;
        my $ask = "GET /rate/a HTTP/1.1\r\nHost: one\r\n\r\n";
        while (time < $until) { $_->send($ask x 4) for @c; for my $c (@c) { $c->response(method => 'GET') for 1 .. 4 } }
        Weir::leave();
    }
    waitpid $_, 0 for @pids;
}
# By Redis' own clock and to the last part of a request: what passed is what the bucket holds more, and what has leaked from it in the meantime.
# It is full before, so it does not run empty for three seconds. Where somebody has waited in vain for an answer, all begins anew.
my ($cost, $rate) = (86400000, 10 * 86400);
sub sum { my ($what, $of) = @_; my $n = 0; for (map { zone($_, 'rate') } $one, $two) { $n += $of ? $_->{$of}{$what} : $_->{$what} } return $n }
my (@from, @to, $passed, $rejected);
for (1 .. 5) {
    state_reset($_) for $one, $two;
    ask_redis('DEL', name_of('rate', 'one'));
    statuses('/rate/a', ($one, $two) x 20);
    ($passed, $rejected, @from) = (sum('passed'), sum('rejected'), split ' ', ask_redis('GET', name_of('rate', 'one')));
    flood(2);
    ($passed, $rejected, @to) = (sum('passed') - $passed, sum('rejected') - $rejected, split ' ', ask_redis('GET', name_of('rate', 'one')));
    last if sum('late', 'sync') + sum('alone', 'sync') == 0;
}
is(sum('late', 'sync') + sum('alone', 'sync'), 0, 'Redis answered for every one');
is($passed * $cost - $rate * ($to[0] - $from[0]), $to[1] - $from[1], "exactly so many passed over two servers: $passed");
cmp_ok($to[1], '<=', 30 * $cost, 'the burst was not exceeded');
cmp_ok($rejected, '>', $passed, "under load: $rejected were refused");
cmp_ok(zone($_, 'rate')->{sync}{answered}, '>', 30, 'both had their share') for $one, $two;

# ---- an answer that comes when another zone has refused the request

my ($held, $calm);
for my $try (1 .. 10) {
    my $before = told($one, 'away');
    kill STOP => $pid;
    my $got = statuses("/late/a?k=late$try", $one, $one);
    kill CONT => $pid;
    $calm = $got eq '200 429' && told($one, 'away') == $before or next;      # else it took so long that Redis was given up
    ok(wait_for(sub { $held = (split ' ', ask_redis('GET', name_of('soon', "late$try")))[1]; return defined $held && $held < $cost / 2 }), 'what another zone refused before the answer came is given back when it comes')
        or diag $held;
    last;
}
ok($calm, 'and that was tried');
ok(together($one), 'all go on');

# ---- Redis hangs: each waits for its time, then decides

my (%away, %back);
sub now { %away = map { $_ => told($_, 'away') } $one, $two; %back = map { $_ => told($_, 'back') } $one, $two }
sub since { my ($w, $what) = @_; return told($w, $what) - ($what eq 'away' ? $away{$w} : $back{$w}) }
now();
kill STOP => $pid;
state_reset($_) for $one, $two;
is(statuses('/soon/a?k=20', ($one) x 5), '200 200 200 200 429', 'without an answer our own zone decides');
ok(wait_for(sub { $one->get('/soon/a?k=21'); $two->get('/soon/a?k=21'); since($one, 'away') && since($two, 'away') }), 'and it is told');
ok(wait_for(sub { my $z = zone($one, 'soon'); $one->get('/soon/a?k=22'); $z->{sync}{alone} && $z->{sync}{late} && !$z->{sync}{up} }), 'and shown');
$one->get('/soon/a?k=23') for 1 .. 10;
is(since($_, 'away'), 1, 'once') for $one, $two;
is(since($_, 'back'), 0, 'not back') for $one, $two;
kill CONT => $pid;
ok(wait_for(sub { since($_, 'back') == 1 }, 30), 'it is back') for $one, $two;
ok(together($one) && together($two), 'and asked');
is(statuses('/few/a?k=24', ($one, $two) x 3), '200 200 200 200 429 429', 'together again');

# ---- Redis loses the script, then dies with all it knew, and comes back

state_reset($_) for $one, $two;         # what was asked until all workers were back
is(ask_redis('SCRIPT', 'FLUSH'), '+OK', 'the script is lost');
is(statuses('/few/a?k=30', ($one, $two) x 3), '200 200 200 200 429 429', 'and given again');
is(join(' ', map { zone($_, 'few')->{sync}{alone} } $one, $two), '0 0', 'nobody was alone');
is(statuses('/few/a?k=31', $one, $two, $two, $two), '200 200 200 200', 'a full count');
now();
stop_redis();
is(statuses('/few/a?k=31', $two), '429', 'Redis is killed: what was counted is known here too');
is(statuses('/few/a?k=32', ($one) x 5, ($two) x 5), '200 200 200 200 429 200 200 200 200 429', 'each counts alone');
ok(wait_for(sub { since($_, 'away') == 1 }), 'told') for $one, $two;
start_redis();
ok(wait_for(sub { since($_, 'back') == 1 }, 30), 'started anew, it is back') for $one, $two;
ok(together($one) && together($two), 'and asked');
is(statuses('/few/a?k=33', ($one, $two) x 3), '200 200 200 200 429 429', 'together again');

# ---- a reload while requests wait; workers that end

kill STOP => $pid;
my @c = map { my $c = $one->connect; $c->send("GET /few/a?k=4$_ HTTP/1.1\r\nHost: one\r\n\r\n"); $c } 1 .. 8;
$one->reload;
kill CONT => $pid;
is(join(' ', map { $_->response(method => 'GET')->status } @c), join(' ', (200) x 8), 'who waited over a reload is answered');
ok(together($one), 'the new workers are connected');
is(statuses('/few/a?k=33', $one), '429', 'and go on counting');
kill STOP => $pid;
@c = map { my $c = $one->connect; $c->send("GET /few/a?k=5$_ HTTP/1.1\r\nHost: one\r\n\r\n"); $c } 1 .. 8;
$_->close for @c;
kill CONT => $pid;
ok(together($one), 'clients that left while waiting');
unlike($_->error_log, qr/seKret|s%65Kret/, 'no password in the log') for $one, $two;

# ---- who may not

sub refused {
    my ($url, $why) = @_;
    my $w = Weir->new(conf => $conf, files => \%files, vars => { URL => $url }, log_level => 'debug')->start;
    ok(wait_for(sub { told($w, 'away') }), "away: $why") or return;
    like($w->error_log, $why, 'which says why');
    is(statuses('/few/a?k=60', ($w) x 5), '200 200 200 200 429', 'it limits alone');
    is(told($w, 'away'), 1, 'told once');
    unlike($w->error_log, qr/seKret|wrOng/, 'no password');
    $w->stop;
}
refused("redis://:wrOng\@127.0.0.1:$port/3", qr/away: WRONGPASS/);
refused("redis://nobody:seKret\@127.0.0.1:$port/3", qr/away: WRONGPASS/);
refused("redis://127.0.0.1:$port/3", qr/away: NOAUTH/);
refused("redis://:seKret\@127.0.0.1:$port/8", qr/away: ERR DB index is out of range/);
refused("redis://:seKret\@unix:$dir/none:/3", qr/away: No such file or directory/);
my $deaf = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die;
refused('redis://:seKret@127.0.0.1:' . $deaf->sockport . '/3', qr/away: it does not answer/);

for (['sync=redis://:seKret@', 'no host'], ['sync=http://seKret', 'a Redis server is written'], ['sync=redis://seKret@h', 'user and password of a Redis server are written'],
    ['sync=redis://h/seKret', 'the database of a Redis server is a number'], ['sync_timeout=1', '"sync_timeout" of zone "a" needs "sync"'], ['sync=redis://h sync_timeout=x', 'invalid parameter "sync_timeout=x"'],
    ['sync', 'invalid parameter "sync"']) {
    my ($words, $why) = @$_;
    my ($code, $said) = Weir->new(conf => "events { }\nhttp { limit_req_zone \$uri zone=a:1m rate=1r/s $words; }\n")->expect_log(qr/emerg/)->t_binary;
    is($code, 1, "$words is refused");
    like($said, qr/\Q$why\E/, $why);
    unlike($said, qr/seKret/, 'without a secret');
}
done_testing;
