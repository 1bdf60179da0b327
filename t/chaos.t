# Real backends (nginx, HAProxy) and one that misbehaves, killed, stopped and started under load: a client sees a right answer or one
# clear error, and afterwards nothing is left: no connection, no descriptor, no memory.
use lib 't/lib';
use Weir;
use Time::HiRes qw(sleep time);

my ($haproxy) = grep { -x } qw(/usr/sbin/haproxy /usr/local/sbin/haproxy);
plan(skip_all => 'no nginx or haproxy here') unless -x $Weir::nginx && $haproxy;

my $body = join '', map { "line $_ of the answer\n" } 1 .. 2000;
my $broken = 0;
my @ways = (
    sub { undef },                                                                                    # hangs
    sub { $_[0]->close },
    sub { $_[0]->reset },
    sub { $_[0]->send("garbage and more\r\n\r\n"); $_[0]->close },
    sub { $_[0]->send("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"); $_[0]->close },
    sub { $_[0]->send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"); $_[0]->close },
    sub { $_[0]->send("HTTP/1.1 200 OK\r\nContent-Le"); $_[0]->close },
    sub { $_[0]->send("HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno") },
    sub { $_[0]->send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"); sleep 0.01; $_[0]->send('half'); $_[0]->close },              # early close in the body
    sub { $_[0]->send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxx\r\n"); $_[0]->close },
    sub { $_[0]->send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood and too much"); $_[0]->close },
    sub { $_[0]->send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngo"); sleep 0.05; $_[0]->send('od'); },                          # slow
    sub { $_[0]->send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"); $_[0]->finish },                                         # half closed
);
my $bad = Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    my ($way) = $req->uri =~ /w=(\d+)/;
    $ways[$way % @ways]->($conn);
    $conn->closed(10) if $conn->sock && $way % @ways == 0;
    $conn->close if $conn->sock && $way % @ways == 0;
    return undef;
}, quiet => 1);
# Says keep-alive and closes a moment after each answer.
my $fickle = Weir::Backend->new(sub { my ($req, $conn) = @_; $conn->send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); sleep rand 0.002; $conn->close; undef }, quiet => 1);

my $files = { 'html/page' => $body };
my $nginx = Weir->new(binary => $Weir::nginx, files => $files, conf => 'events { } http { server { listen 127.0.0.1:%%PORT_0%%; root html; location / { try_files /page =404; } } }' =~ s/root html/root %%TESTDIR%%\/html/r)->start;
my $ha_port = Weir::free_port();
my $dir = Weir::scratch();
open my $cfg, '>', "$dir/haproxy.cfg" or die;
print $cfg "global\n  tune.bufsize 131072\ndefaults\n  mode http\n  timeout client 10s\n  timeout server 10s\n  timeout connect 2s\nfrontend f\n  bind 127.0.0.1:$ha_port\n  http-request return status 200 content-type text/plain file $dir/page\n";
close $cfg;
open my $page, '>', "$dir/page" or die;
print $page $body x 1;
close $page;
sub start_haproxy {
    my $pid = fork // die;
    if (!$pid) { open STDOUT, '>', "$dir/haproxy.out"; open STDERR, '>&', \*STDOUT; exec { $haproxy } $haproxy, '-db', '-q', '-f', "$dir/haproxy.cfg" or Weir::leave(127) }
    wait_for(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ha_port) }, 10) or die Weir::slurp("$dir/haproxy.out");
    return $pid;
}
my $ha = start_haproxy();

my $w = Weir->new(vars => { NGINX => '127.0.0.1:' . $nginx->port(0), HA => "127.0.0.1:$ha_port", BAD => $bad->addr, FICKLE => $fickle->addr }, conf => <<'EOC')->start;
worker_processes 2;
events { }
http {
    log_format l "$uri $status $upstream_addr $upstream_status";
    access_log access.log l;
    proxy_connect_timeout 2s;
    proxy_read_timeout 20s;       # a busy machine is no fault; /hang and /mixed wait less
    proxy_next_upstream error timeout invalid_header http_500;
    upstream mixed { server %%BAD%% max_fails=0; server %%NGINX%% max_fails=0; server %%HA%% max_fails=0; keepalive 8; keepalive_timeout 200ms; }
    upstream real { server %%NGINX%% max_fails=0; server %%HA%% max_fails=0; keepalive 8; keepalive_timeout 200ms; }
    upstream bad { server %%BAD%%; keepalive 8; keepalive_timeout 200ms; }
    upstream fickle { server %%FICKLE%%; keepalive 64; keepalive_timeout 200ms; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        keepalive_requests 10000;
        location /mixed { proxy_read_timeout 3s; proxy_pass http://mixed; }
        location /real { proxy_read_timeout 2s; proxy_pass http://real; }
        location /bad { proxy_pass http://bad; }
        location /held { proxy_buffering off; proxy_pass http://bad; }
        location /hang { proxy_read_timeout 300ms; proxy_pass http://bad; location /hang/held { proxy_buffering off; proxy_pass http://bad; } }
        location /fickle { proxy_pass http://fickle; }
    }
}
EOC

# Clients, each a process: what they saw comes back as lines.
sub clients {
    my ($n, $code, $meanwhile) = @_;
    my @pipes = map {
        my $i = $_;
        my $pid = open(my $from, '-|') // die;
        if (!$pid) { $SIG{ALRM} = sub { Weir::leave(1) }; alarm 300; $code->($i); STDOUT->flush; Weir::leave() }
        $from;
    } 1 .. $n;
    $meanwhile->() if $meanwhile;
    my %seen;
    for my $from (@pipes) { while (<$from>) { chomp; $seen{$_}++ } close $from }
    return \%seen;
}

# What became of a request, in a word. A new connection after each that was broken off.
sub asker {
    my $c;
    return sub {
        my ($uri) = @_;
        $c = $w->connect if !$c || !$c->sock || $c->at_end;
        my $m = $c->get($uri);
        my $what = !$m ? 'nothing' : $m->error ? 'garbled' : !$m->complete ? 'cut' : $m->status == 200 ? ($m->body eq $body ? 'right' : $m->body =~ /^(good|ok)$/ ? 'small' : 'wrong') : $m->status;
        undef $c if !$m || !$m->complete || ($m->header('Connection') // '') eq 'close';
        print "$what\n";
        return $what;
    };
}

sub sockets { my $pid = shift; return scalar grep { (readlink($_) // '') =~ /socket:/ } glob "/proc/$pid/fd/*" }
sub fds { return join ' ', map { my @f = glob "/proc/$_/fd/*"; scalar @f } @_ }
sub memory { my $kb = 0; for (@_) { Weir::slurp("/proc/$_/smaps_rollup") =~ /^Pss_Anon:\s+(\d+)/m and $kb += $1 } return $kb }
my @workers = sort { $a <=> $b } $w->workers;
my $before = fds(@workers);
wait_for(sub { my $was = $before; sleep 0.2; ($before = fds(@workers)) eq $was });

# Every kind of misbehaviour, alone.
my %allowed = (1 => '502', 2 => '502', 3 => '502', 4 => '502', 5 => '502', 6 => '502', 7 => '500', 8 => 'cut', 9 => 'cut', 10 => 'small', 11 => 'small', 12 => 'small');
for my $where ('bad', 'held') {
    for my $way (sort { $a <=> $b } keys %allowed) {
        my $seen = clients(1, sub { asker()->("/$where?w=$way") });
        is_deeply($seen, { $allowed{$way} => 1 }, "/$where, way $way: $allowed{$way}");
    }
}

for my $uri ('/hang', '/hang/held') { is_deeply(clients(1, sub { asker()->("$uri?w=0") }), { 504 => 1 }, "$uri: 504") }

# With two good ones beside it, from many clients at once.
sub mixed { return clients(6, sub { my $i = shift; my $ask = asker(); $ask->('/mixed?w=' . ($i * 31 + $_ * 7)) for 1 .. 60 }, @_) }
my $seen = mixed();
is(join(' ', grep { !/^(right|small|cut)$/ } sort keys %$seen), '', 'one of three misbehaves: clients see right answers, or a body cut short');
ok(($seen->{right} // 0) > 200, "mostly right ones ($seen->{right} of 360)") or diag(join ' ', %$seen);

# Killed, stopped and started, each after some more answers. The clients ask until all that has happened.
my $over = "$dir/over";
sub answers { my ($n) = @_; my $log = "$w->{dir}/access.log"; my $from = -s $log; wait_for(sub { (-s $log) - $from > $n * 60 }, 30) or diag("less than $n answers in 30 s") }
sub real {
    my ($meanwhile) = @_;
    unlink $over;
    return clients(6, sub { my $ask = asker(); $ask->('/real') until -e $over }, sub { answers(50); $meanwhile->(); answers(50); open my $io, '>', $over or die });
}
$seen = real(sub { kill KILL => $ha; waitpid $ha, 0; answers(100); $ha = start_haproxy() });
is(join(' ', grep { !/^(right|cut)$/ } sort keys %$seen), '', 'HAProxy is killed and started again: nobody sees an error') or diag(join ' ', %$seen);
ok(($seen->{cut} // 0) <= 6, 'at most what it was answering is cut short');
ok($seen->{right} > 100, "$seen->{right} right answers");
$seen = real(sub { kill STOP => $ha; answers(20); kill CONT => $ha });
is(join(' ', grep { !/^(right|cut)$/ } sort keys %$seen), '', 'HAProxy hangs for a while: nobody sees an error') or diag(join ' ', %$seen);
$seen = real(sub { kill KILL => $nginx->workers; answers(50); $nginx->stop; answers(50); $nginx->start });
is(join(' ', grep { !/^(right|cut)$/ } sort keys %$seen), '', 'nginx is killed, stopped and started: nobody sees an error') or diag(join ' ', %$seen);
$seen = real(sub { kill KILL => $ha; waitpid $ha, 0; $nginx->stop; answers(50); $ha = start_haproxy(); $nginx->start });
is(join(' ', grep { !/^(right|cut|50[24])$/ } sort keys %$seen), '', 'both are away: 502, not a worse thing') or diag(join ' ', %$seen);
ok($seen->{502}, 'which was seen');
ok(wait_for(sub { my $m = $w->get('/real'); $m->status == 200 && $m->body eq $body }, 15), 'and then all is well');

# Connections that close as soon as they are idle.
$seen = clients(6, sub { my $ask = asker(); $ask->('/fickle') for 1 .. 60 });
is_deeply($seen, { small => 360 }, 'a peer that closes idle connections at once: 360 requests, no error') or diag(substr $w->error_log, -2000);

# Nothing is left, and the second time costs no memory.
ok(wait_for(sub { fds(@workers) eq $before }, 10), 'descriptors as in the beginning') or diag(fds(@workers) . " were $before");
my $kb = memory(@workers);
mixed() for 1 .. 2;
ok(wait_for(sub { fds(@workers) eq $before }, 10), 'after another time as well') or diag(fds(@workers) . " were $before");
ok($w->sanitized || memory(@workers) < $kb + 2048, 'and memory stays') or diag(memory(@workers) . " were $kb kB");
is(join(' ', sort { $a <=> $b } $w->workers), "@workers", 'no worker died');
$nginx->expect_log(qr/exited on signal 9|worker process/);
kill KILL => $ha;
waitpid $ha, 0;
done_testing;
