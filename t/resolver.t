# proxy_pass with variables: names are asked of the servers of "resolver" for each request, and kept for their time.
use lib 't/lib';
use Weir;
use Weir::Dns;

my $b = Weir::Backend->new(sub { 'yes' });
my ($port) = $b->addr =~ /:(\d+)$/;
my @zone = ('www.test A 300 127.0.0.1', 'alias.test CNAME 300 www.test', 'www.test A 300 127.0.0.1', 'zero.test A 0 127.0.0.1',
    'two.test A 300 127.0.0.1', 'two.test A 300 127.0.0.9', 'long.test TC', 'long.test A 300 127.0.0.1', 'fails.test RCODE 2', 'refuses.test RCODE 5',
    'silent.test DROP', 'foreign.test OTHER 300 127.0.0.1', 'six.test AAAA 300 ::1', 'empty.test TXT 1');
my $d = Weir::Dns->new(@zone);
my $w = Weir->new(conf => <<'EOC', vars => { DNS => $d->addr, PORT => $port })->start;
worker_processes 1;
events { }
http {
    resolver %%DNS%% ipv6=off;
    log_format f '$uri|$status|$upstream_addr|$upstream_status|$proxy_host|$upstream_breaker';
    access_log %%TESTDIR%%/access.log f;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { set $to $arg_to; proxy_pass http://$to:%%PORT%%; resolver_timeout 1s; }
        location /six { set $to $arg_to; proxy_pass http://$to:%%PORT%%; resolver %%DNS%% ipv4=off; }
        location /one { set $to $arg_to; proxy_pass http://$to:%%PORT%%; proxy_next_upstream off; }
    }
}
EOC

sub count { my $re = shift; scalar grep { /$re/ } $d->asked }

is($w->get('/?to=www.test')->status, 200, 'a name');
is($w->get('/?to=WWW.test')->status, 200, 'again, by another case');
is(count(qr/ www\.test A$/), 1, 'was asked for once');
is($w->get('/?to=alias.test')->status, 200, 'an alias');
is($w->get('/?to=long.test')->status, 200, 'an answer that is too long for UDP');
is(count(qr/^tcp long\.test/), 1, 'came by TCP');
is($w->get('/?to=zero.test')->status, 200, 'a ttl of 0');
is($w->get('/?to=zero.test')->status, 200, 'twice');
is(count(qr/ zero\.test/), 2, 'asked for twice');
is(scalar(grep { $w->get('/?to=two.test')->status == 200 } 1 .. 8), 8, 'an address where nobody listens is passed over');
ok((grep { $w->get('/one?to=two.test')->status == 502 } 1 .. 40), 'the order of the addresses changes');

my $opened = $b->connections;
is($w->get("/?to=$_")->status, 200, "$_ once more") for qw(www.test WWW.test www.test zero.test zero.test 127.0.0.1 127.0.0.1);
is($b->connections - $opened, 1, 'connections are kept for the name they were made for: one more, for the number');

for (['none.test', 'none.test could not be resolved (3: Host not found)'], ['fails.test', 'fails.test could not be resolved (2: Server failure)'],
    ['refuses.test', 'refuses.test could not be resolved (5: Operation refused)'], ['silent.test', 'silent.test could not be resolved (110: Operation timed out)'],
    ['empty.test', 'empty.test could not be resolved (3: Host not found)'], ['foreign.test', 'foreign.test could not be resolved (3: Host not found)'],
    ['a_*.test', 'a_*.test could not be resolved (3: Host not found)'], ['80', '80 could not be resolved (3: Host not found)']) {
    my ($name, $line) = @$_;
    is($w->get("/?to=$name")->status, 502, "$name: 502");
    ok($w->wait_error(qr/\Q$line\E, client: /), "$name: $line");
}
is($w->get('/six?to=six.test')->status, 502, 'IPv6 only, where nobody listens');
ok($w->wait_error(qr/connect\(\) failed.*\[::1\]:$port/), 'by an address of IPv6');
is(count(qr/AAAA/), 1, 'which is asked for only where it is wanted');
is($w->get('/?to=127.0.0.1')->status, 200, 'a number needs nobody');
is(count(qr/127\.0\.0\.1/), 0, 'nobody was asked');

my $c = $w->connect;
$c->send("GET /?to=silent.test HTTP/1.1\r\nHost: x\r\n\r\n");
my $before = count(qr/silent/);
ok(wait_for(sub { count(qr/silent/) > 0 }, 5), 'a client asks');
$c->close;
is($w->get('/?to=www.test')->status, 200, 'and leaves: nothing is harmed');
$d->stop;
is($w->get('/?to=www.test')->status, 200, 'what is known serves without the server');
is($w->get('/?to=zero.test')->status, 200, 'and the last good answer past its time');
ok($w->wait_error(qr/"zero\.test" could not be resolved \(110: Operation timed out\), its last answer is used/), 'which is said');
my ($line) = grep { m{^/\|502\|} } split /\n/, $w->access_log;
like($line // '', qr{^/\|502\|-\|-\|none\.test:$port\|-?$}, 'no upstream was asked');

for (['resolver 127.0.0.1 valid=x;', 'invalid parameter: valid=x'], ['resolver 127.0.0.1 ipv4=off ipv6=off;', '"ipv4" and "ipv6" cannot both be "off"'],
    ['resolver valid=5s;', 'no name servers defined'], ['resolver 127.0.0.1:99999;', 'invalid port in resolver "127.0.0.1:99999"']) {
    my $t = Weir->new(conf => "events { } http { $_->[0] }");
    my ($code, $out) = $t->t_binary;
    like($out, qr/\Q$_->[1]\E/, $_->[0]);
}
done_testing;
