# Signals, as nginx's documentation gives them, and the -s switch. WEIR_BINARY=/usr/sbin/nginx runs it with nginx.
use lib 't/lib';
use Weir;

my $conf = <<'EOC';
worker_processes 2;
events { worker_connections 64; }
http { server { listen 127.0.0.1:%%PORT_0%%; location / { return 200 "$pid"; } } }
EOC
my $w = Weir->new(conf => $conf, daemon => 1)->start;
my $master = $w->pid;
sub title { my $t = Weir::slurp("/proc/$_[0]/cmdline"); $t =~ s/\0+$//; $t =~ tr/\0/ /; return $t }
sub served { my %by; $by{ $w->get('/')->body }++ for 1 .. $_[0] // 8; return \%by }
# Until the server has taken the connection and read what we sent: /proc/net/tcp has its side, with an inode and nothing unread.
sub is_read {
    my $c = shift;
    my ($there, $here) = map { sprintf '%04X', $_ } $c->sock->peerport, $c->sock->sockport;
    return wait_for(sub { grep { /^\s*\d+: \S+:$there \S+:$here 01 \S+:00000000 \S+ \S+ +\d+ +\d+ +[1-9]/ } split /\n/, Weir::slurp('/proc/net/tcp') });
}
sub old_and_new { my ($old) = @_; my %old = map { $_ => 1 } @$old; return scalar grep { !$old{$_} } $w->workers }

# ---- who runs
$w->wait_workers(2);
my $name = $w->name;
like(title($master), qr/^$name: master process \S*\Q$w->{binary}\E -p /, 'the title of the master');
is(title($_), "$name: worker process", 'the title of a worker') for $w->workers;
my %workers = map { $_ => 1 } $w->workers;
is(scalar(grep { !$workers{$_} } keys %{ served() }), 0, 'workers answer');

# ---- a second one
$w->expect_log(qr/bind\(\) to 127.0.0.1:\d+ failed|still could not bind/);
my ($code, $said) = $w->t_binary('-q');
is($code, 1, 'a second server on the same address does not start');
like($said, qr/\[emerg\] bind\(\) to 127\.0\.0\.1:\d+ failed \(98: /, 'and says why');
is($w->pid, $master, 'the pid file is untouched');
is(($w->t_binary('-t'))[0], 0, '-t passes beside a running server');

# ---- HUP
my @old = $w->workers;
ok($w->reload, 'reload');
ok(wait_for(sub { !grep { Weir::alive($_) } @old }), 'the workers of before are gone');
is(old_and_new(\@old), 2, 'two new ones serve');
is($w->pid, $master, 'the master is the same');
ok($w->wait_error(qr/signal 1 \(SIGHUP\) received from \d+, reconfiguring\n.*reconfiguring\n/s), 'told in the log');
ok($w->wait_error(qr/$old[0]#\d+: gracefully shutting down.*worker process $old[0] exited with code 0/s), 'and how the old ones ended');

@old = sort $w->workers;
$w->expect_log(qr/nonsense/);
$w->write_file('weir.conf', "nonsense on;\n" . $w->{text});
ok(!$w->reload, 'a wrong configuration is refused');
like($w->error_log, qr/\[emerg\] .*unknown directive "nonsense" in \S+:1/, 'with its place');
is_deeply([sort $w->workers], \@old, 'the workers stay');
is($w->get('/')->status, 200, 'and serve');
$w->write_file('weir.conf', $w->{text});

# ---- USR1
rename $w->error_log_file, $w->error_log_file . '.1' or die;
is(($w->t_binary('-s', 'reopen'))[0], 0, '-s reopen');
ok(wait_for(sub { -s $w->error_log_file }), 'the log file is made anew');
ok($w->wait_error(qr/\b$_#\d+: reopening logs/), "worker $_ writes there") for $w->workers;

# ---- workers by hand
my ($one) = $w->workers;
$w->expect_log(qr/worker process \d+ exited on signal (9|6)/);
kill KILL => $one;
ok($w->wait_error($w->{nginx} ? qr/\[alert\] .*worker process $one exited on signal 9/ : qr/\[error\] .*worker process $one exited on signal 9/), 'a killed worker is told');
ok($w->wait_workers(2), 'and replaced');
($one) = $w->workers;
kill ABRT => $one;       # sanitizers report a SEGV
ok($w->wait_error(qr/\[alert\] .*worker process $one exited on signal 6/), 'a crash is an alert');
ok($w->wait_workers(2), 'and replaced');
is($w->get('/')->status, 200, 'it serves') for 1 .. 4;
($one) = $w->workers;
kill QUIT => $one;
ok($w->wait_error(qr/$one#\d+: signal 3 \(SIGQUIT\) received from $$, shutting down/), 'a worker told to quit by hand');
ok($w->wait_error(qr/worker process $one exited with code 0/), 'ends');
ok($w->wait_workers(2), 'and is replaced');

# ---- WINCH, HUP
$w->signal('WINCH');
ok($w->wait_error(qr/signal 28 \(SIGWINCH\) received from $$/), 'WINCH');
ok(wait_for(sub { !$w->workers }), 'no worker is left');
is($w->pid, $master, 'the master is');
my $c = $w->connect;
$c->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
$w->signal('HUP');
ok($w->wait_workers(2), 'HUP brings workers back');
is($c->response->status, 200, 'who connected in between is served');

# ---- QUIT
$c = $w->connect;
$c->send("GET / HTTP/1.1\r\nHost: x\r\n");
ok(is_read($c), 'a request is begun');
is(($w->t_binary('-s', 'quit'))[0], 0, '-s quit');
ok($w->wait_error(qr/signal 3 \(SIGQUIT\) received from \d+, shutting down/), 'QUIT');
ok(wait_for(sub { grep { title($_) eq "$name: worker process is shutting down" } Weir::children($master) }), 'the title of a worker that shuts down');
$c->send("\r\n");
my $r = $c->response;
is($r->status, 200, 'what was begun is finished');
is($r->header('connection'), 'close', 'and is the last on its connection');
ok(wait_for(sub { !Weir::alive($master) }), 'then the master ends');
ok(!-e $w->pid_file, 'without its pid file');
like($w->error_log, qr/\b$master#\d+: exit\n\z/, 'exit');
is(($w->t_binary('-s', 'stop'))[0], 1, '-s stop finds nobody');

# ---- TERM
$w->start;
$c = $w->connect;
$c->send("GET / HTTP/1.1\r\nHost: x\r\n");
is(($w->t_binary('-s', 'stop'))[0], 0, '-s stop');
$master = $w->{master};
ok(wait_for(sub { !Weir::alive($master) }), 'TERM ends it at once');
ok(!-e $w->pid_file, 'without its pid file');

# ---- worker_shutdown_timeout
$w = Weir->new(conf => "worker_shutdown_timeout 300ms;\n$conf", daemon => 1)->start;
$c = $w->connect;
$c->send("GET / HTTP/1.1\r\nHost: x\r\n");
is_read($c);
my $from = Time::HiRes::time();
ok($w->stop('QUIT'), 'QUIT with worker_shutdown_timeout');
cmp_ok(Time::HiRes::time() - $from, '<', 3, 'is not kept up by a client');

# ---- one process
$w = Weir->new(conf => "master_process off;\n$conf", daemon => 1)->start;
is(served(3)->{ $w->pid }, 3, 'master_process off: one process serves');
$from = $w->pid;
$w->signal('HUP');
ok($w->wait_error(qr/reconfiguring/), 'HUP');
is(served(3)->{$from}, 3, 'it serves the next configuration') unless $w->{nginx};
ok($w->stop, 'QUIT ends it');

done_testing;
