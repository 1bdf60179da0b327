# How connections of clients end: send_timeout, lingering_close, keepalive_min_timeout. All but the last as nginx ends them.
use lib 't/lib';
use Weir;

my $conf = <<'EOC';
events { }
http {
    root %%TESTDIR%%/html;
    sendfile on;
    sendfile_max_chunk 100k;
    keepalive_timeout 0;
    lingering_timeout 60s;
    server { listen 127.0.0.1:%%PORT_0%%; location = /active { stub_status; lingering_close off; }
        location = /waits0 { proxy_pass http://%%BACKEND%%; }
        location = /waits1 { proxy_pass http://%%BACKEND%%; proxy_ignore_client_abort on; }
    }
    server { listen 127.0.0.1:%%PORT_1%%; send_timeout 300ms; }
    server { listen 127.0.0.1:%%PORT_2%%; send_timeout 300ms; sendfile off; reset_timedout_connection on; }
    server { listen 127.0.0.1:%%PORT_3%%; lingering_close off; }
    server { listen 127.0.0.1:%%PORT_4%%; lingering_close always; }
    server { listen 127.0.0.1:%%PORT_5%%; lingering_close on; client_max_body_size 5; }
}
EOC
my $late = Weir::Backend->new(sub { Time::HiRes::sleep(0.3); return 'late' });      # after the client's end was seen
my $big = join '', map { pack 'N', $_ } 1 .. 1_500_000;
my $request = "GET /big HTTP/1.1\r\nHost: h\r\n\r\n";
for my $binary (undef, $Weir::nginx) {
    my $w = Weir->new(conf => $conf, vars => { BACKEND => $late->addr }, files => { 'html/big' => $big, 'html/a' => "A\n" }, $binary ? (binary => $binary) : ())->start;
    my $name = $w->name;
    my $active = sub { $w->get('/active')->body =~ /Active connections: (\d+)/ ? $1 - 1 : -1 };

    for my $port (1, 2) {
        my $c = $w->connect(port => $port, rcvbuf => 4096);
        $c->send($request);
        ok(wait_for(sub { () = $w->error_log =~ /client timed out \(110: [^)]*\) while sending response to client/g; $& && (() = $w->error_log =~ /client timed out/g) == $port }), "$name: send_timeout of a client that takes nothing");
        if ($port == 2) {
            cmp_ok(length $c->rest, '<', length $big, "$name: it is cut off");
            ok($c->was_reset, "$name: and reset where that is wanted");
        }
    }
    for my $port (1, 2) {       # much more time than send_timeout in all, but never as long between two reads
        my $c = $w->connect(port => $port);
        $c->send($request);
        my ($head, $body) = split /\r\n\r\n/, $c->rest, 2;
        ok($body eq $big, "$name: a whole file in pieces of sendfile_max_chunk, by sendfile or without");
    }
    {
        my $c = $w->connect(port => 0, rcvbuf => 65536);
        $c->send($request);
        my $head = $c->line;
        $c->finish;         # has said all, and goes on reading
        ok($c->rest =~ /\r\n\r\n(.*)$/s && $1 eq $big, "$name: a client that said all in the middle of a response has the whole of it") unless $binary;      # nginx cuts it off
        for my $i (0, 1) {
            $c = $w->connect(port => 0);
            $c->send("GET /waits$i HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            $c->finish;
            is($c->rest =~ /late$/ ? 1 : 0, $i, "$name: proxy_ignore_client_abort " . ($i ? 'on: one that said all has the answer' : 'off: such a client is gone'));
        }
    }
    ok(wait_for(sub { $active->() == 0 }), "$name: all are closed");

    my %stays = (3 => 0, 4 => 1, 5 => 0);
    for my $port (sort keys %stays) {
        my $c = $w->connect(port => $port);
        $c->send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        like($c->rest, qr/\r\nConnection: close\r\n.*A\n$/s, "$name: a response and its end");
        ok(wait_for(sub { $active->() == $stays{$port} }), "$name: then the connection " . ($stays{$port} ? 'lingers' : 'is closed'));
        $c->close;
        ok(wait_for(sub { $active->() == 0 }), "$name: until the client goes");
    }
    for my $port ($binary ? () : 3, 5) {      # nginx waits for a body that it discards, whatever lingering_close says
        my $c = $w->connect(port => $port);
        $c->send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
        like($c->response->status, qr/^4\d\d$/, "$name: a refused body");
        ok(wait_for(sub { $active->() == ($port == 5 ? 1 : 0) }), "$name: and " . ($port == 5 ? 'its client may go on sending' : 'its connection is closed'));
        $c->close;
        ok(wait_for(sub { $active->() == 0 }), "$name: until it goes");
    }
}

# A worker that ends keeps idle connections for that long, and serves what comes on them.
my $w = Weir->new(conf => <<'EOC')->start;
events { }
http {
    server { listen 127.0.0.1:%%PORT_0%%; keepalive_min_timeout 30s; location / { return 200 x; } }
}
EOC
my $c = $w->connect;
is($c->get('/')->status, 200, 'a connection that is kept');
$w->signal('QUIT');
ok(wait_for(sub { !$w->workers }), 'QUIT: the worker is shutting down');
my $m = $c->get('/');
is($m && $m->header('Connection'), 'close', 'keepalive_min_timeout: one more request, the last one');
ok($w->stop, 'then the worker ends');
done_testing;
