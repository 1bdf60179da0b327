# "server NAME resolve" and "service=": what DNS says of a name changes the servers of a group, for all workers, while it serves.
use lib 't/lib';
use Weir;
use Weir::Dns;

my @host = ('app.test A 1 127.0.0.1', 'app.test A 1 127.0.0.2');
my $own = Weir::Dns->new('own.test A 300 127.0.0.4');
my $d = Weir::Dns->new(@host);
my $w = Weir->new(conf => <<'EOC', vars => { DNS => $d->addr, OWN => $own->addr })->start;
worker_processes 4;
events { }
http {
    upstream app { zone app 64k; server app.test:%%PORT_1%% resolve; }
    upstream later { server later.test:%%PORT_1%% resolve; server 127.0.0.4:%%PORT_1%% backup; }
    upstream alone { server alone.test:%%PORT_1%% resolve; }
    upstream hashed { hash $arg_k consistent; server alone.test:%%PORT_1%% resolve; }
    upstream chance { random two; server alone.test:%%PORT_1%% resolve; }
    upstream srv { server srv.test service=http resolve weight=7; }
    upstream dotted { server srv.test service=_api._tcp resolve backup; server 127.0.0.1:%%PORT_1%% down; }
    upstream own { resolver %%OWN%% ipv6=off; server own.test:%%PORT_1%% resolve; }
    upstream number { server 127.0.0.3:%%PORT_1%% resolve; }
    resolver %%DNS%% ipv6=off;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        add_header X-Worker $pid always;
        location ~ ^/(?<to>\w+) { proxy_pass http://$to; proxy_next_upstream off; }
        location = /late { proxy_pass http://later; }
    }
    server { listen 127.0.0.1:%%PORT_1%%; return 200 one; }
    server { listen 127.0.0.2:%%PORT_1%%; return 200 two; }
    server { listen 127.0.0.3:%%PORT_1%%; return 200 three; }
    server { listen 127.0.0.4:%%PORT_1%%; return 200 four; }
    server { listen 127.0.0.1:%%PORT_2%%; return 200 five; }
}
EOC
my ($p, $q) = ($w->port(1), $w->port(2));

# What /$to answers, told by how often, until all workers were asked.
sub answers {
    my ($to, $least) = @_;
    my (%seen, %workers);
    wait_for(sub {
        my $m = $w->get("/$to");
        my $body = $m->status == 200 ? $m->body : $m->status;
        $seen{$body}++;
        $workers{ $m->header('X-Worker') // '' }++;
        return keys %workers >= 4 && $least-- <= 0;
    }, 20) or diag("not all workers were asked: @{[ %workers ]}");
    return \%seen;
}
sub names { join ' ', sort keys %{ answers($_[0], 16) } }
sub logged { my $re = shift; return scalar(() = $w->error_log =~ /$re/g) }

ok($w->wait_error(qr/upstream "app": "app\.test" is 127\.0\.0\.[12]:$p, 127\.0\.0\.[12]:$p now/), 'a name of two addresses');
is(names('app'), 'one two', 'both are asked');
ok($w->wait_error(qr/upstream "later": later\.test could not be resolved \(3: Host not found\)/), 'a name that is not there');
is(names('later'), 'four', 'its backup is asked');
is(names('alone'), '502', 'without one nobody is');
is(names('hashed'), '502', 'by hash neither');
is(names('chance'), '502', 'by chance neither');
ok($w->wait_error(qr/upstream "own": "own\.test" is 127\.0\.0\.4:$p now/), 'a group with its own resolver');
is(names('own'), 'four', 'is asked by it');
is(names('number'), 'three', 'a number is no name');

my @srv = ("_http._tcp.srv.test SRV 1 5 3 $p t1.test", "_http._tcp.srv.test SRV 1 5 1 $p t2.test", "_http._tcp.srv.test SRV 1 9 1 $q t1.test",
    't1.test A 1 127.0.0.1', 't2.test A 1 127.0.0.2', "_api._tcp.srv.test SRV 1 1 1 $p t3.test", "_api._tcp.srv.test SRV 1 2 1 $p t1.test", 't3.test A 1 127.0.0.3');
$d->zone('app.test A 1 127.0.0.3', 'app.test A 1 127.0.0.2', 'later.test A 1 127.0.0.1', 'alone.test A 1 127.0.0.2', @srv);
ok($w->wait_error(qr/upstream "app": "app\.test" is (?=.*127\.0\.0\.3)/), 'the answer changes');
is(names('app'), 'three two', 'every worker asks the new ones, and no worker the one that went');
for (['later', 'one', 'a name that comes'], ['alone', 'two', 'also where there was nobody'], ['hashed', 'two', 'by hash'], ['chance', 'two', 'by chance']) {
    my ($to, $who, $why) = @$_;
    ok($w->wait_error(qr/upstream "$to": "[a-z.]+" is 127\.0\.0\.\d:$p now/), $why);
    is(names($to), $who, "$to: is asked by all workers");
}

ok($w->wait_error(qr/upstream "srv": "_http\._tcp\.srv\.test" is .* now/), 'services');
my $seen = answers('srv', 79);
is(join(' ', sort keys %$seen), 'one two', 'only those of the least priority');
my $share = ($seen->{one} // 0) / (($seen->{two} // 0) || 1);
ok($share > 2.4 && $share < 3.7, 'by their weights') or diag($share);
is(names('dotted'), 'three', 'a service with its protocol; of a backup only the least priority is taken');
$d->zone('alone.test A 1 127.0.0.2', (grep { !/SRV 1 5|_api/ } @srv), "_http._tcp.srv.test SRV 1 5 0 1 t1.test");
ok($w->wait_error(qr/"_http\._tcp\.srv\.test" is (?=[^\n]*:1\b)(?=[^\n]*:$q\b)/), 'one of the least priority is left, where nobody listens');
my $five = 0;
ok(wait_for(sub { my $m = $w->get('/srv'); $five++ if $m->status == 200 && $m->body eq 'five'; return $five > 20 }, 20), 'the others are its backups');

ok($w->wait_error(qr/upstream "app": app\.test could not be resolved \(3: Host not found\), its servers stay as they are/), 'a name that goes');
is(names('app'), 'three two', 'the last good answer stays');
my ($changes, $asked) = (logged(qr/"app\.test" is/), scalar grep { / alone\.test A$/ } $d->asked);
is($changes, 2, 'one line a change');
ok(wait_for(sub { 3 + $asked <= grep { / alone\.test A$/ } $d->asked }, 10), 'it is asked again and again');
is(logged(qr/upstream "alone": "alone\.test" is/), 1, 'and nothing is said while the answer is the same');
is(logged(qr/upstream "app": app\.test could/), 1, 'nor while there is none');

$d->stop;
$w->reload;
$w->wait_workers(4);
is(names('app'), 'three two', 'a new generation begins with the servers of the one before, with no DNS server');
is(names('alone'), 'two', 'of all groups');

for (['server a.test service=http;', 'service upstream "a.test" requires "resolve" parameter'], ['server a.test:80 service=http resolve;', 'service upstream "a.test:80" may not have port'],
    ['server a..test resolve;', 'invalid host in upstream "a..test"'], ['server a.test service= resolve;', 'invalid parameter "service="'],
    ['server 127.0.0.1 service=http resolve;', 'service upstream "127.0.0.1" is not a name'], ['ip_hash; server a.test resolve backup;', 'balancing method does not support parameter "backup"']) {
    my ($code, $out) = Weir->new(conf => "events { } http { upstream u { $_->[0] } }")->t_binary;
    like($out, qr/\Q$_->[1]\E/, $_->[0]);
    isnt($code, 0, 'is refused');
}
my ($code, $out) = Weir->new(conf => 'events { } http { upstream u { server no-such-name.invalid resolve; } server { location / { proxy_pass http://u; } } }')->t_binary;
is($code, 0, 'a name that is not there is no error') or diag($out);
done_testing;
