# limit_rate_by: responses of a key share its rate, over connections and workers; another key does not wait.
use lib 't/lib';
use Weir;
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);

my $up = Weir::Backend->new(sub { return 'x' x 100000 });
my $conf = <<'EOC';
worker_processes 4;
events { }
http {
    limit_rate_zone $arg_k zone=by_k:1m rate=200k burst=50k;
    limit_rate_zone $arg_k zone=second:1m rate=100k;
    limit_rate_zone $server_name zone=all:64k rate=400k burst=0;
    limit_rate_zone $arg_k zone=small:32k rate=1 burst=1m;
    limit_rate_zone $arg_k zone=gone:1m rate=2k burst=1k;
    log_format who '$pid $body_bytes_sent $status';
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name one;
        location / { return 200 ok; }
        location /k/ { alias %%TESTDIR%%/html/; limit_rate_by zone=by_k; access_log %%TESTDIR%%/k.log who; }
        location /second/ { alias %%TESTDIR%%/html/; limit_rate_by zone=second; }
        location /both/ { alias %%TESTDIR%%/html/; limit_rate_by zone=second; limit_rate_by zone=all; }
        location /up/ { proxy_pass http://%%UP%%; limit_rate_by zone=by_k; }
        location /small/ { alias %%TESTDIR%%/html/; limit_rate_by zone=small; }
        location /gone/ { alias %%TESTDIR%%/html/; limit_rate_by zone=gone; access_log %%TESTDIR%%/gone.log who; }
    }
}
EOC
my $w = Weir->new(conf => $conf, files => { 'html/a' => join('', map { chr(97 + $_ % 26) } 0 .. 102399), 'html/b' => 'y' x 20000, 'html/c' => 'z' x 100 }, vars => { UP => $up->addr })->start;
my $file = Weir::slurp("$w->{dir}/html/a");
# A try takes at least its time, whatever the machine does besides; that it takes no longer is so if it is so at one of several tries, each with a key
# of its own: what waits where it should not waits every time.
sub between {
    my ($try, $least, $most, $name) = @_;
    my @took;
    for my $i (1 .. 6) {
        push @took, $try->($i);
        last if $took[-1] < $least || $took[-1] <= $most + 0.3;
    }
    ok($took[-1] >= $least && $took[-1] <= $most + 0.3, sprintf '%s: %s s, %.2f to %.2f', $name, join(' ', map { sprintf '%.2f', $_ } @took), $least, $most);
}
# All of these at once, each on a connection of its own; how long until the last one is there.
sub all { my (@uris) = @_; my $from = time; my @c = map { my $c = $w->connect; $c->request('GET', $_, headers => [Connection => 'close']); $c } @uris; my @m = map { $_->response(method => 'GET') } @c; return (time - $from, @m) }

my @m;
sub each_try { my @uris = @_; return sub { my $i = shift; (my $s, @m) = all(map { s/TRY/$i/r } @uris); return $s } }
between(each_try('/k/a?k=1-TRY'), 0.24, 0.6, '100k at 200k a second, 50k at once');
is($m[0]->body, $file, 'as it is');
between(each_try(('/k/a?k=2-TRY') x 8), 3.74, 6, 'eight of one key share the rate');
is(scalar(grep { $_->body eq $file } @m), 8, 'all are whole');
my %workers = map { (/^(\d+)/ ? ($1 => 1) : ()) } $w->wait_access(9, 'k.log');
cmp_ok(scalar keys %workers, '>', 1, 'over ' . keys(%workers) . ' workers');
between(each_try(map { "/k/a?k=x$_-TRY" } 1 .. 8), 0.24, 1.2, 'eight keys have eight rates');
between(each_try(('/k/a') x 8), 0, 1.2, 'an empty key has no limit');
between(each_try('/second/a?k=1-TRY'), 0, 0.5, 'a second\'s worth at once');
between(sub { my $k = "2-$_[0]"; all("/second/a?k=$k"); return (all("/second/b?k=$k"))[0] }, 0, 0.4, 'and then the rate');
between(each_try(map { "/both/a?k=b$_-TRY" } 1 .. 4), 0.99, 1.5, 'two zones: the slower one holds');
between(each_try(('/up/x?k=3-TRY') x 2), 0.72, 1.2, 'proxied');
# What is left of the bucket's debt when the next one comes: nothing, if that is late.
my $debts = 0;
for my $i (1 .. 6) {
    all("/k/a?k=4-$i");
    $debts++, last if (all("/k/b?k=4-$i"))[0] >= 0.05;
}
ok($debts, 'what went before counts');
ok($w->reload, 'reload');

# Those that leave give back what they had reserved: who comes then does not wait for them.
my @leave = map { my $c = $w->connect; $c->request('GET', '/gone/b?k=5'); $c } 1 .. 4;
ok(length $_->bytes(100), 'the head comes') for @leave;
setsockopt($_->{sock}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0), $_->close for @leave;      # a reset, which is seen at once
is(scalar(my @gone = $w->wait_access(4, 'gone.log')), 4, 'they have left');
between(each_try('/gone/c?k=5'), 0, 1.5, 'the next one comes');

# A zone that is full forgets, and says so once.
my $c = $w->connect;
for my $k (1 .. 900) { $c->request('GET', "/small/b?k=$k"); $c->response(method => 'GET') }
is(scalar(() = $w->error_log =~ /zone "small" of limit_rate_by is full/g), 1, 'a full zone is told once');

for (['limit_rate_zone $uri zone=a:1m burst=1;', '"limit_rate_zone" must have "rate" parameter'], ['limit_rate_zone $uri zone=a:1m rate=0;', 'invalid rate "rate=0"'], ['limit_rate_zone $uri zone=a:1m rate=1r/s;', 'invalid rate'],
    ['limit_rate_zone $uri zone=a:1m rate=1k burst=x;', 'invalid parameter "burst=x"'], ['limit_rate_zone $uri rate=1k burst=1;', 'must have "zone" parameter'], ['limit_rate_by zone=none;', 'zero size shared memory zone "none"'],
    ['limit_rate_by none;', 'invalid parameter "none"'], ['limit_rate_zone $uri zone=a:1m rate=1k; limit_rate_by zone=a; limit_rate_by zone=a;', 'is duplicate'], ['limit_req_zone $uri zone=a:1m burst=1;', 'invalid parameter "burst=1"']) {
    my ($line, $why) = @$_;
    my $bad = Weir->new(conf => "events { }\nhttp { $line }\n");
    my ($code, $said) = $bad->t_binary;
    is($code, 1, "$line is refused");
    like($said, qr/\Q$why\E/, $why);
    $bad->expect_log(qr/emerg/);
}
done_testing;
