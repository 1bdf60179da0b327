# Sockets from systemd (LISTEN_FDS) and words to it (NOTIFY_SOCKET), without systemd.
use lib 't/lib';
use Weir;
use Fcntl qw(F_SETFD);
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);

my $conf = <<'EOC';
daemon off;
worker_processes 2;
events { worker_connections 64; }
http { server { listen 127.0.0.1:%%PORT_0%%; location / { return 200 "$pid"; } } }
EOC
my $w = Weir->new(conf => $conf);
plan(skip_all => 'not nginx\'s') if $w->{nginx};

my $path = "$w->{dir}/notify";
my $notify = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path) or die "$path: $!";
chmod 0777, $path;
my @told;
sub told {
    my $want = shift;
    return wait_for(sub {
        $notify->blocking(0);
        push @told, $_ while defined $notify->recv($_, 1024) && length;
        return grep { $_ =~ $want } @told;
    });
}

# Started as systemd does: the listening socket is descriptor 3. A shell puts its own pid into LISTEN_PID and becomes weir.
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $w->port, Listen => 64, ReuseAddr => 1) or die "listen: $@";
my $early = $w->connect;
$early->send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
my @command = $w->command;
my $pid = fork // die;
if ($pid == 0) {
    POSIX::setsid();
    $w->set_environment;
    open STDERR, '>>', "$w->{dir}/stderr";
    POSIX::dup2(fileno $listener, 3) if fileno $listener != 3;
    my $three = IO::Handle->new_from_fd(3, 'r');
    fcntl $three, F_SETFD, 0;
    @ENV{qw(LISTEN_FDS LISTEN_FDNAMES NOTIFY_SOCKET)} = (1, 'web', $path);
    exec 'sh', '-c', 'LISTEN_PID=$$ exec "$@"', 'sh', @command or Weir::leave(127);
}
$w->{launched} = $pid;
push @{ $w->{sessions} }, $pid;

is($early->response->status, 200, 'who connected before the start is served');
ok(told(qr/^READY=1$/m), 'READY=1 when workers accept');
is($w->pid, $pid, 'in the foreground');
my %by;
$by{ $w->get('/')->body }++ for 1 .. 40;
is(scalar(keys %by), 2, 'the second worker has a socket of its own beside the one that was handed over');
my $environ = Weir::slurp('/proc/' . ($w->workers)[0] . '/environ');
unlike($environ, qr/LISTEN_|NOTIFY_SOCKET/, 'workers do not see these variables');

@told = ();
ok($w->reload, 'reload');
ok(told(qr/^RELOADING=1\nMONOTONIC_USEC=\d+$/), 'RELOADING=1');
ok(told(qr/^READY=1$/), 'READY=1 when the next workers accept');
is($w->get('/')->status, 200, 'they serve');

@told = ();
$w->expect_log(qr/nonsense/);
$w->write_file('weir.conf', "nonsense on;\n" . $w->{text});
ok(!$w->reload, 'a wrong configuration');
ok(told(qr/^READY=1$/), 'READY=1 after it, too');
$w->write_file('weir.conf', $w->{text});

@told = ();
ok(my $new = $w->upgrade, 'an upgrade');
ok(told(qr/^READY=1$/), 'the new binary is ready');
kill QUIT => $pid;
ok(told(qr/^MAINPID=$new$/), 'the old one names it as the main process before it leaves');
ok(wait_for(sub { $w->reap; !Weir::alive($pid) }), 'and leaves');
ok(!(grep { /STOPPING/ } @told), 'the service does not stop');
is($w->get('/')->status, 200, 'it serves');
kill QUIT => $new;
ok(told(qr/^STOPPING=1$/), 'STOPPING=1 at the end');
ok(wait_for(sub { !Weir::alive($new) }), 'which comes');

done_testing;
