# Servers of an upstream: priorities, drain, slow_start; max_conns over four workers; what is counted; a killed worker and a reload.
use lib 't/lib';
use Weir;

my @ports = map { Weir::free_port() } 1 .. 4;
my $dead = Weir::free_port();
my $who = Weir->new(conf => "events { }\nhttp { keepalive_requests 100000; " . join(' ', map { "server { listen 127.0.0.1:$_; location / { return 200 $_; } location /no { return 404; } }" } @ports) . " }\n")->start;
# One that takes connections when the test does, and never answers by itself.
require IO::Socket::INET;
require IO::Select;
my $holder = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64, ReuseAddr => 1, Blocking => 0) or die "no socket: $!";

my $w = Weir->new(conf => <<"EOC")->start;
worker_processes 4;
events { }
http {
    access_log off;
    upstream levels { server 127.0.0.1:$dead max_fails=1 fail_timeout=1h; server 127.0.0.1:$ports[0] priority=2; server 127.0.0.1:$ports[1] priority=3; server 127.0.0.1:$dead backup fail_timeout=1h; }
    upstream drained { server 127.0.0.1:$ports[0]; server 127.0.0.1:$ports[1] drain; }
    upstream counted { zone counted 64k; server 127.0.0.1:$ports[0]; server 127.0.0.1:$dead fail_timeout=1h; }
    upstream bounded { server 127.0.0.1:@{[$holder->sockport]} max_conns=3; server 127.0.0.1:@{[$holder->sockport]} max_conns=2; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location ~ ^/to/(?<where>\\w+)(?<rest>/\\w*)?\$ { proxy_pass http://\$where\$rest; }
        location /api { api; }
    }
}
EOC

sub bodies { my ($path, $n) = @_; my %at; $at{$w->get($path)->body}++ for 1 .. $n; return \%at }
is_deeply(bodies('/to/levels', 20), { $ports[0] => 20 }, 'of backups the first priority that has one');
is_deeply(bodies('/to/drained', 20), { $ports[0] => 20 }, 'a draining server is not asked');

sub peers { my $m = $w->get("/api/9/http/upstreams/$_[0]"); require JSON::PP; return @{JSON::PP::decode_json($m->body)->{peers}} }
is_deeply([map { $_->{state} } peers('drained')], ['up', 'draining'], 'and says so');

$w->get('/to/counted') for 1 .. 10;
$w->get('/to/counted/no') for 1 .. 5;
my ($well, $ill) = peers('counted');
is($well->{responses}{'2xx'}, 10, 'answers of the second class, counted over four workers');
is($well->{responses}{'4xx'}, 5, '… and of the fourth');
is($well->{responses}{total}, 15, 'all');
cmp_ok($well->{sent}, '>', 500, 'bytes sent');
cmp_ok($well->{received}, '>', 1000, 'bytes received');
is($ill->{state}, 'unavail', 'one failed');
is($ill->{unavail}, 1, 'once');
is($ill->{fails}, 1, 'after one failure');
cmp_ok($ill->{downtime}, '>=', 0, 'its time out of service is told');
ok(!exists $ill->{header_time}, 'and no time of answers it never gave');

# Twenty at once over four workers: five find a place, never one more; who is turned away is told at once.
my @clients = map { $w->connect } 1 .. 20;
$_->send("GET /to/bounded HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") for @clients;
my %answered;
ok(Weir::wait_for(sub { $answered{$_} //= IO::Select->new($clients[$_]->sock)->can_read(0) ? $clients[$_]->response : undef for 0 .. 19; 15 <= grep { defined } values %answered }), 'fifteen have an answer');
is(scalar(grep { defined && $_->status == 502 } values %answered), 15, 'they are turned away');
my @held;
ok(Weir::wait_for(sub { while (my $c = $holder->accept) { push @held, $c } @held >= 5 }), 'five came to the servers');
is(scalar @held, 5, 'exactly as many as there are places');
for my $c (@held) { print $c "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"; close $c }
my @rest = grep { !defined $answered{$_} } 0 .. 19;
is_deeply([map { $clients[$_]->response->status } @rest], [(200) x 5], 'and they are answered');

# A worker dies, the configuration is read again: what is known of the servers stays.
my ($first) = $w->workers;
kill KILL => $first;
ok(Weir::wait_for(sub { !grep { $_ == $first } $w->workers }), 'the killed worker is gone');
ok(Weir::wait_for(sub { 4 == $w->workers }), 'there are four again');
is((peers('counted'))[1]{state}, 'unavail', 'after a worker was killed it is known to have failed');
$w->reload;
is((peers('counted'))[1]{state}, 'unavail', 'and after a reload');
is((peers('counted'))[0]{responses}{total}, 15, 'counts too');
done_testing;
