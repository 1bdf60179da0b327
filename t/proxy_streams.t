# WebSocket and long-lived answers: who does not read holds the other side back, and costs weir a bounded amount of memory; both ways.
use lib 't/lib';
use Weir;

use constant { PIECE => 65536, ALL => 64 << 20 };
my $gate = Weir::scratch() . '/gate';
my $count = Weir::scratch() . '/count';
sub touch { open my $io, '>', $_[0] or die }
# Sends as fast as it is taken; tells how much went so far.
sub flood {
    my ($sock, $file) = @_;
    my ($sent, $piece, $told) = (0, 'x' x PIECE, 0);
    $sock->blocking(1);
    while ($sent < ALL) {
        my $n = syswrite($sock, $piece, $sent + PIECE > ALL ? ALL - $sent : PIECE) // last;
        $sent += $n;
        if ($sent - $told >= 1 << 18 || $sent == ALL) { open my $out, '>', "$file.new"; print $out $sent; close $out; rename "$file.new", $file; $told = $sent }
    }
}
sub drain { my ($sock) = @_; my $n = 0; $sock->blocking(1); while (my $got = sysread $sock, my $bytes, 1 << 20) { $n += $got; last if $n >= ALL } return $n }
my $b = Weir::Backend->new(sub {
    my ($conn) = @_;
    my $req = Weir::Message->read($conn, 'request') or return;
    my ($how) = $req->uri =~ m{^/(\w+)};
    $conn->send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n") if $how =~ /^ws/;
    $conn->send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n") if $how =~ /^events/;
    if ($how eq 'wsup') { select undef, undef, undef, 0.02 until -e $gate; my $n = drain($conn->{sock}); $conn->send("got $n") }
    else { flood($conn->{sock}, $count) }
    $conn->close;
}, connection => 1, quiet => 1);
my $w = Weir->new(vars => { B => $b->addr }, conf => <<'EOC')->start;
worker_processes 1;
events { }
http {
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
    proxy_read_timeout 300s; proxy_send_timeout 300s; send_timeout 300s;
    server { listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://%%B%%; }
        location /events { proxy_buffering off; proxy_pass http://%%B%%; }
        location /eventsbuffered { proxy_max_temp_file_size 0; proxy_pass http://%%B%%; } }
}
EOC
my ($worker) = $w->workers;
sub memory { return Weir::slurp("/proc/$worker/status") =~ /^VmRSS:\s+(\d+)/m ? $1 : die }
# It moves no more: nobody takes anything.
sub stands_still { my ($file) = @_; my ($last, $same) = (-1, 0); return wait_for(sub { my $now = Weir::slurp($file) || 0; $same = $now && $now == $last ? $same + 1 : 0; $last = $now; select undef, undef, undef, 0.1; $same >= 10 }, 60) }

$w->get('/events');      # what is made once is made
my $before = memory();
my $little = $w->sanitized ? 32 << 10 : 8 << 10;      # what is freed stays a while there
for my $how (qw(events eventsbuffered wsdown)) {
    unlink $count;
    my $c = $w->connect(timeout => 300);
    $c->send("GET /$how HTTP/1.1\r\nHost: x\r\n" . ($how =~ /^ws/ ? "Upgrade: websocket\r\nConnection: upgrade\r\n" : "Connection: close\r\n") . "\r\n");
    ok(stands_still($count), "$how: a client that does not read holds the server back");
    cmp_ok(Weir::slurp($count), '<', ALL / 2, 'long before it has sent all');
    cmp_ok(memory() - $before, '<', $little, 'and that costs weir little');
    my $head = '';
    while (defined(my $line = $c->line)) { $head .= $line; last if $line =~ /^\r?\n$/ }
    like($head, $how =~ /^ws/ ? qr/^HTTP\/1.1 101/ : qr/^HTTP\/1.1 200/, 'the head');
    my $n = length($c->{in} // '');
    $c->{sock}->blocking(1);
    while (my $got = sysread $c->{sock}, my $bytes, 1 << 20) { $n += $got; last if $how =~ /^ws/ && $n >= ALL }
    cmp_ok($n, '>=', ALL, 'all of it comes in the end');
    $c->close;
}
unlink $count;
my $c = $w->connect(timeout => 300);
$c->send("GET /wsup HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
my $line = $c->line;
like($line, qr/ 101 /, 'wsup: upgraded');
while (defined($line = $c->line)) { last if $line =~ /^\r?\n$/ }
my $pid = fork // die;
if (!$pid) { flood($c->{sock}, $count); Weir::leave() }
ok(stands_still($count), 'a server that does not read holds the client back');
cmp_ok(Weir::slurp($count), '<', ALL / 2, 'long before it has sent all');
cmp_ok(memory() - $before, '<', $little, 'and that costs weir little');
touch($gate);
is($c->bytes(4 + length ALL), 'got ' . ALL, 'all of it arrives in the end');
waitpid $pid, 0;
done_testing;
