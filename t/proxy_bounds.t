# Long streams whose reader has stopped, in every direction: what is held is bounded, the sender is held back, and when the reader goes
# on all of it arrives.
use lib 't/lib';
use Weir;
use Time::HiRes 'time';

# What the kernel's buffers of four sockets may take as it tunes them, and a body that is well above it.
sub most { my ($name) = @_; return (split ' ', Weir::slurp("/proc/sys/net/ipv4/tcp_$name"))[2] }
my $room = 2 * most('rmem') + 2 * most('wmem') + (4 << 20);
my $mb = ($room >> 20) + 16;
my $block = 'b' x 65536;
my $gate = Weir::scratch() . '/gate';
my $count = Weir::scratch() . '/count';         # what the backend has sent
sub head { my $conn = shift; my $head = ''; while (defined(my $l = $conn->line)) { $head .= $l; last if $l =~ /^\r?\n/ } return $head }
sub mark { open my $io, '>', "$count.new" or die; print $io $_[0]; close $io; rename "$count.new", $count }
sub pour {      # until told or the end, as fast as it is taken
    my ($conn) = @_;
    $conn->{timeout} = 60;
    for (1 .. $mb * 16) { $conn->send($block) or return; mark($_ * 65536) }
}
my $backend = Weir::Backend->new(sub {
    my ($conn) = @_;
    my $head = head($conn);
    if ($head =~ /^GET \S*up/ || $head =~ /^POST/) {        # reads nothing until the gate opens, then all
        $conn->send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n") if $head =~ /^GET/;
        select undef, undef, undef, 0.01 until -e $gate;
        my $n = 0;
        $conn->{timeout} = 30;
        while ($n < $mb * 1048576) { my $got = length $conn->bytes(65536); last unless $got; $n += $got }
        $conn->send($head =~ /^GET/ ? "$n\n" : "HTTP/1.1 200 OK\r\nContent-Length: " . length($n) . "\r\n\r\n$n");
        $conn->closed(5);
    } elsif ($head =~ /^GET \S*ws/) {
        $conn->send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
        pour($conn);
    } else {
        my $n = $mb * 1048576;
        $conn->send($head =~ /close/ ? "HTTP/1.0 200 OK\r\n\r\n" : "HTTP/1.1 200 OK\r\nContent-Length: $n\r\n\r\n");
        pour($conn);
    }
    $conn->close;
}, connection => 1, quiet => 1);
my $w = Weir->new(vars => { B => $backend->addr }, conf => <<'EOC')->start;
worker_processes 1;
events { }
http {
    client_max_body_size 0;
    proxy_read_timeout 30s;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /ws { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_pass http://%%B%%; }
        location /up { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_pass http://%%B%%; }
        location /held { proxy_buffering off; proxy_pass http://%%B%%; }
        location /nofile { proxy_max_temp_file_size 0; proxy_pass http://%%B%%; }
        location /file { proxy_max_temp_file_size 4m; proxy_pass http://%%B%%; }
        location /stream { proxy_request_buffering off; proxy_pass http://%%B%%; }
    }
}
EOC
my ($worker) = $w->workers;
sub memory { return Weir::slurp("/proc/$worker/smaps_rollup") =~ /^Pss_Anon:\s+(\d+)/m ? $1 : 0 }
sub settled {   # a figure that has stopped growing
    my ($figure) = @_;
    my ($last, $since) = (-1, time);
    wait_for(sub { my $now = $figure->(); if ($now != $last) { ($last, $since) = ($now, time) } return time - $since > 0.4 }, 20);
    return $last;
}
my $kb = 1500;              # 512k in a pipe or as much in chunks of 256k, 256k for the client, and what is kept of chunks for the next
sub sent { return Weir::slurp($count) || 0 }
my $before = memory();
sub bounded {
    my ($what, $sent) = @_;
    ok($sent > 0 && $sent < $room, "$what: the sender is held back after $sent bytes");
    ok($w->sanitized || wait_for(sub { memory() - $before < $kb }), "$what: little is held") or diag(memory() - $before, ' kB');
}

for my $uri ('/ws', '/held', '/held/close', '/nofile', '/nofile/close', '/file/close') {
    unlink $count;
    my $c = $w->connect(rcvbuf => 65536, timeout => 30);
    $c->send("GET $uri HTTP/1.1\r\nHost: x\r\n" . ($uri eq '/ws' ? "Upgrade: x\r\nConnection: upgrade\r\n" : "Connection: close\r\n") . "\r\n");
    head($c);
    bounded($uri, settled(\&sent));
    my $n = 0;
    if ($uri =~ /close/) { my $m; $n += length $m while length($m = $c->bytes(262144)) }       # chunked: more than the body
    else { while ($n < $mb * 1048576) { my $got = length $c->bytes(65536); last unless $got; $n += $got } }
    ok($n >= $mb * 1048576, "$uri: and then all of it comes ($n)");
    $c->close;
}

for my $uri ('/up', '/stream') {
    unlink $gate;
    my $c = $w->connect(timeout => 30);
    $c->send($uri eq '/up' ? "GET /up HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" : "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: " . $mb * 1048576 . "\r\n\r\n");
    head($c) if $uri eq '/up';
    my ($n, $since) = (0, time);
    while (time - $since < 0.5 && $n < $mb * 1048576) {
        my $wrote = syswrite $c->sock, $block, 65536;
        if ($wrote) { $n += $wrote; $since = time } else { select undef, undef, undef, 0.01 }
    }
    bounded($uri, $n);
    open my $io, '>', $gate or die;
    close $io;
    $c->send('b' x ($mb * 1048576 - $n));
    is($uri eq '/up' ? $c->line : $c->response->body, $mb * 1048576 . ($uri eq '/up' ? "\n" : ''), "$uri: and then all of it comes");
    $c->close;
}
ok(wait_for(sub { memory() - $before < $kb || $w->sanitized }, 10), 'and nothing is kept') or diag(memory() - $before, ' kB');
done_testing;
