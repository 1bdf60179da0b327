# A new binary takes over (USR2), or does not: listening sockets, zones and the pid file in every case.
use lib 't/lib';
use Weir;
use File::Copy qw(copy);

my $conf = <<'EOC';
worker_processes 2;
events { worker_connections 64; }
http {
    server { listen 127.0.0.1:%%PORT_0%%; location / { return 200 "$pid"; } }
    server { listen unix:%%TESTDIR%%/socket; location / { return 200 "$pid"; } }
}
EOC

# A binary of its own, so that it may be replaced.
sub server {
    my $w = Weir->new(conf => $conf, daemon => 1, @_);
    my $own = "$w->{dir}/" . $w->name;
    copy($w->{binary}, $own) or die;
    chmod 0755, $own or die;
    $w->{binary} = $own;
    return $w;
}

my $w = server()->start;
my $old = $w->pid;
sub parent_of { my @s = Weir::proc_stat($_[0]); return $s[1] }
sub masters { my %by; $by{ parent_of($w->get('/')->body) // 0 }++ for 1 .. $_[0] // 40; return \%by }

# ---- there and on
ok(my $new = $w->upgrade, 'USR2 starts a new binary');
is(Weir::slurp($w->pid_file . '.oldbin'), "$old\n", 'the old pid is set aside');
my $by = masters();
is(($by->{$old} // 0) + ($by->{$new} // 0), 40, 'both may serve, from the same sockets') or diag(explain($by));
like($w->error_log, qr/changing binary.*start new binary process $new.*using inherited sockets/s, 'told');
$w->expect_log(qr/changing binary|not changed|ignored/);
$w->signal('USR2');
ok($w->wait_error(qr/\b$new#\d+: signal 12 \(SIGUSR2\) received from \d+, ignoring/), 'a second one at a time is refused');
kill QUIT => $old;
ok(wait_for(sub { !Weir::alive($old) }), 'the old one ends');
ok(!-e $w->pid_file . '.oldbin', 'with its pid file');
is($w->pid, $new, 'the new pid stays');
is(masters(8)->{$new}, 8, 'the new one serves');
ok(-S "$w->{dir}/socket", 'the unix socket is there still');
is($w->get('/', unix => "$w->{dir}/socket")->status, 200, 'and serves');

# ---- and back: WINCH the old one, do not like the new one, HUP the old one, QUIT the new one
$old = $new;
ok($new = $w->upgrade, 'another');
kill WINCH => $old;
ok(wait_for(sub { !$w->workers($old) }), 'the old one has no workers');
is(masters(8)->{$new}, 8, 'the new one serves alone');
kill HUP => $old;
ok(wait_for(sub { $w->workers($old) == 2 }), 'the old one has workers again');
kill QUIT => $new;
ok($w->wait_error(qr/new binary process $new exited with code 0/), 'the new one ends');
ok(wait_for(sub { ($w->pid // 0) == $old }), 'the pid file is put back');
ok(!-e $w->pid_file . '.oldbin', 'the other name is gone');
is(masters(8)->{$old}, 8, 'the old one serves');
is($w->get('/', unix => "$w->{dir}/socket")->status, 200, 'also on its unix socket');

# ---- a new binary that fails
$w->expect_log(qr/nonsense/);
$w->write_file('weir.conf', "nonsense on;\n" . $w->{text});
$w->signal('USR2');
ok($w->wait_error(qr/new binary process \d+ exited with code 1/), 'one that does not like the configuration ends');
ok(wait_for(sub { ($w->pid // 0) == $old && !-e $w->pid_file . '.oldbin' }), 'the pid file is put back');
is(masters(8)->{$old}, 8, 'the old one serves');
$w->write_file('weir.conf', $w->{text});

$w->expect_log(qr/execve\(\)|exited on signal/);
rename $w->{binary}, "$w->{binary}.away" or die;
$w->signal('USR2');
ok($w->wait_error(qr/execve\(\) failed while executing new binary process ".*" \(2: /), 'one that is not there is told');
ok(wait_for(sub { ($w->pid // 0) == $old && !-e $w->pid_file . '.oldbin' }), 'the pid file is put back');
rename "$w->{binary}.away", $w->{binary} or die;

ok($new = $w->upgrade, 'one that starts');
kill WINCH => $old;
ok(wait_for(sub { !$w->workers($old) }), 'the old one has no workers');
my @lost = $w->workers($new);
kill KILL => $new;
ok($w->wait_error(qr/new binary process $new exited on signal 9/), 'and is killed');
ok(wait_for(sub { ($w->pid // 0) == $old && $w->workers($old) == 2 }), 'the old one is in charge again, with workers');
ok(wait_for(sub { !grep { Weir::alive($_) } @lost }), 'the workers of the killed one leave') unless $w->{nginx};
kill KILL => grep { Weir::alive($_) } @lost;
is($w->get('/')->status, 200, 'it serves') for 1 .. 4;

# ---- under load, with another number of workers each time
SKIP: {
    skip('no zero-loss promise', 1) if $w->{nginx};
    my @pids;
    my $until = Time::HiRes::time() + 3;
    pipe my $in, my $out or die;
    for my $keep (0, 0, 1, 1) {
        my $pid = fork // die;
        push @pids, $pid and next if $pid;
        my ($c, $n, $bad) = (undef, 0, 0);
        while (Time::HiRes::time() < $until) {
            my $r = eval { $c //= $w->connect; $c->get('/', headers => [$keep ? () : (Connection => 'close')]) };
            $r && $r->status == 200 ? $n++ : $bad++;
            undef $c if !$r || !$keep || ($r->header('connection') // '') eq 'close';
        }
        syswrite $out, "$n $bad\n";
        Weir::leave();
    }
    close $out;
    for my $n (3, 1, 4, 2) {
        my $before = $w->pid;
        $w->write_file('weir.conf', $w->{text} =~ s/worker_processes \d+/worker_processes $n/r);
        ok($w->upgrade, "upgrade to $n workers");
        kill QUIT => $before;
        ok(wait_for(sub { !Weir::alive($before) }), 'the old one ends');
    }
    waitpid $_, 0 for @pids;
    my @counts = map { [split] } <$in>;
    my ($n, $bad) = (0, 0);
    $n += $_->[0], $bad += $_->[1] for @counts;
    is($bad, 0, "no request of $n failed");
}

my $last = $w->pid;
kill QUIT => $last;
ok(wait_for(sub { !Weir::alive($last) }), 'QUIT');
ok(!-e "$w->{dir}/socket", 'the unix socket goes with the last one');

done_testing;
