# stub_status: nginx's page; over several workers; over reload and death.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $conf = <<'EOC';
worker_processes %%WORKERS%%;
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { return 200 "$connections_active $connections_reading $connections_writing $connections_waiting"; }
        location = /status { stub_status; }
        location = /status_on { stub_status on; }
    }
    server { listen 127.0.0.1:%%PORT_1%%; stub_status; }
}
EOC
sub ask { my ($uri, $method) = @_; return ($method // 'GET') . " $uri HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" }
# Some connections in every state, then the page.
sub busy {
    my $w = shift;
    my @c = map { $w->connect } 1 .. 6;
    $c[$_]->send("GET /status HTTP/1.1\r\nHos") for 0, 1;
    for (2 .. 4) { $c[$_]->get('/status') }
    my $m;
    wait_for(sub { $m = $w->raw(ask('/status')); $m->body =~ /Reading: 2 Writing: 1 Waiting: 4/ });
    $m->{body} =~ s/\d+ \n(?=Reading)/N \n/;
    return $m;
}
my ($n, $w) = Weir->compare($conf, [
    'the page' => ask('/status'), 'with on' => ask('/status_on'), 'of a server' => sub { my $c = $_[0]->connect(port => 1); $c->send(ask('/x')); return $c->response }, 'HEAD' => ask('/status', 'HEAD'),
    'POST' => ask('/status', 'POST'), 'variables' => ask('/'), 'busy connections' => \&busy,
], vars => { WORKERS => 1 });

my $many = Weir->new(conf => $conf, vars => { WORKERS => 4 })->start;
sub page { my %v; @v{qw(active accepts handled requests reading writing waiting)} = $many->get('/status')->body =~ /(\d+)/g; return \%v }
my @c = map { my $c = $many->connect; $c->get('/'); $c } 1 .. 20;
ok(wait_for(sub { my $p = page(); $p->{active} == 21 && $p->{waiting} == 20 && $p->{writing} == 1 }), 'over four workers') or diag(explain(page()));
my $before = page();
ok($many->reload, 'reload');
my $after = page();
ok($after->{requests} > $before->{requests} && $after->{accepts} > $before->{accepts}, 'counts go on over a reload') or diag(explain([$before, $after]));
$_->close for @c;
ok(wait_for(sub { page()->{active} == 1 }), 'all are gone');
@c = map { my $c = $many->connect; $c->get('/'); $c } 1 .. 8;
my @old = $many->workers;
$before = page();
$many->expect_log(qr/exited on signal 9/);
kill KILL => @old;
wait_for(sub { my @now = $many->workers; @now == 4 && !grep { my $p = $_; grep { $_ == $p } @old } @now });
$after = page();
is($after->{active}, 1, 'connections of killed workers are gone');
is($after->{accepts}, $before->{accepts} + 1, 'what they counted is not');

done_testing;
