# Clients that come back: by id and by ticket, to any worker, after a reload, to another server with the same key. And what
# comes before TLS: the PROXY protocol, silence, an end.
use lib 't/lib';
use Weir;
use Weir::Pem;
use IO::Socket::SSL;
$SIG{PIPE} = "IGNORE";

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('a', by => 'ca', names => ['a.test'])->issue('b', by => 'ca', names => ['b.test'])->encrypt('a', 'secret');
$pem->write('passwords', "wrong\nsecret\n");
$pem->write('key', join '', map { chr } 1 .. 80);
my $data = sub { (my $t = $pem->read(shift)) =~ s/\n/\n/g; return $t };
my $conf = <<'EOC';
worker_processes 2;
events { }
http {
    ssl_certificate a.pem; ssl_certificate_key a.enc; ssl_password_file passwords;
    ssl_protocols TLSv1.2 TLSv1.3;
    client_header_timeout 5s;
    keepalive_timeout 0;
    server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_session_cache shared:ids:1m; ssl_session_tickets off; return 200 "$ssl_session_reused $pid $ssl_session_id"; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; return 200 "$ssl_session_reused $pid"; }
    server { listen 127.0.0.1:%%PORT_2%% ssl; ssl_session_tickets off; return 200 "$ssl_session_reused $pid"; }
    server { listen 127.0.0.1:%%PORT_3%% ssl; ssl_session_ticket_key key; return 200 "$ssl_session_reused $pid"; }
    server { listen 127.0.0.1:%%PORT_4%% ssl proxy_protocol; client_header_timeout 300ms; return 200 "$ssl_protocol $proxy_protocol_addr $remote_addr"; }
    server { listen 127.0.0.1:%%PORT_5%% ssl; server_name a.test; ssl_session_cache shared:ids:1m; ssl_session_tickets off; return 200 "$ssl_session_reused a"; }
    server { listen 127.0.0.1:%%PORT_5%% ssl; server_name b.test; ssl_certificate "data:%%B_PEM%%"; ssl_certificate_key "data:%%B_KEY%%"; return 200 "$ssl_session_reused b"; }
}
EOC
my %o = (conf => $conf, vars => { B_PEM => $data->('b.pem'), B_KEY => $data->('b.key') }, files => { map { $_ => $pem->read($_) } qw(a.pem a.enc passwords key) });
my $w = Weir->new(%o)->start;
$w->wait_workers(2);

# One visit with what the last one left; the body.
my $file = Weir::scratch() . '/session';
sub visit {
    my ($port, $version, %v) = @_;
    my @session = -s $file ? ('-sess_in', $file) : ();
    
    my $to = ref $port ? $port->[0] : $w->port($port);
    my $name = $v{name} // "a.test";
    my $request = "GET / HTTP/1.0\\r\\nHost: $name\\r\\n\\r\\n";
    my $said = `printf '$request' | timeout 10 openssl s_client -connect 127.0.0.1:$to -servername $name -$version -ign_eof @session -sess_out $file 2>/dev/null`;
    return $said =~ /\r\n\r\n(.*)/s ? $1 =~ s/\n?(closed|---)\n.*//sr : undef;
}
sub series {        # how many of them came back to a session, and to how many workers
    my ($port, $version, $n, %v) = @_;
    my ($reused, %pids) = (0);
    for (1 .. $n) {
        my ($r, $pid) = split / /, visit($port, $version, %v) // '? ?';
        $reused++ if $r eq 'r';
        $pids{$pid} = 1;
    }
    return ($reused, scalar keys %pids);
}
for (['by id, TLS 1.2', 0, 'tls1_2'], ['by id, TLS 1.3', 0, 'tls1_3'], ['by ticket, TLS 1.2', 1, 'tls1_2'], ['by ticket, TLS 1.3', 1, 'tls1_3'], ['by ticket of a file, TLS 1.3', 3, 'tls1_3']) {
    my ($name, $port, $version) = @$_;
    unlink $file;
    like(visit($port, $version), qr/^\. \d+/, "$name: a first visit");
    my ($reused, $workers) = series($port, $version, 12);
    is($reused, 12, "$name: all others come back");
    is($workers, 2, 'to both workers');
    ok($w->reload, 'a reload');
    is((series($port, $version, 3))[0], 3, "$name: after it too");
}
unlink $file;
visit(2, 'tls1_2');
is((series(2, 'tls1_2', 3))[0], 0, 'neither ids nor tickets: nobody comes back');
unlink $file;
visit(5, 'tls1_2');
is((series(5, 'tls1_2', 1))[0], 1, 'to the same name');
is(visit(5, 'tls1_2', name => 'b.test'), '. b', 'not to a name with another certificate');

my $other = Weir->new(%o)->start;
unlink $file;
visit(3, 'tls1_3');
is((series([$other->port(3)], 'tls1_3', 1))[0], 1, 'a ticket sealed with a key of a file is good at another server with that file');
unlink $file;
visit(1, 'tls1_3');
is((series([$other->port(1)], 'tls1_3', 1))[0], 0, 'one sealed with a key of its own is not');
$other->stop;

# ---- before TLS

sub proxied {
    my ($header) = @_;
    my $c = $w->connect(port => 4);
    $c->send($header);
    my $sock = $c->sock;
    $sock->blocking(1);
    return eval { Weir::Conn->new(sock => IO::Socket::SSL->start_SSL($sock, SSL_verify_mode => 0, Timeout => 10) || die)->get('/')->body };
}
is(proxied("PROXY TCP4 1.2.3.4 5.6.7.8 1234 443\r\n"), 'TLSv1.3 1.2.3.4 127.0.0.1', 'the PROXY protocol, then TLS');
is(proxied("PROXY TCP4 1.2\r\n"), undef, 'a broken header: no TLS');
my $c = $w->connect(port => 4);
$c->send("PROXY TCP4 1.2.3.4 5.6.7.8 1234 443\r\n\x16\x03\x01");
ok($c->closed(5), 'a handshake that does not go on is ended');
ok($w->wait_error(qr/\[info\] .*client timed out \(110: [^)]*\) while SSL handshaking, client: 127\.0\.0\.1, server: 127/), 'and this is said');
$c = $w->connect(port => 0);
$c->send("\x16\x03\x01");
$c->close;
ok($w->wait_error(qr/\[info\] .*peer closed connection in SSL handshake while SSL handshaking/), 'a client that leaves');
$c = $w->connect(port => 0);
$c->send("\x16\x03\x01\x00\x04abcd");
ok($c->closed(5), 'rubbish after a good beginning');
ok($w->wait_error(qr/\[info\] .*SSL_do_handshake\(\) failed \(SSL: error:.*while SSL handshaking/), 'is logged');

# A graceful end waits for a handshake that has begun.
$c = $w->connect(port => 0);
$c->send("\x16");
my @old = $w->workers;
ok($w->reload, 'a reload in the middle of a handshake');
$c->send("\x03\x01\x00\x04abcd");
ok($c->line || $c->closed(5), 'it is gone on with');
ok($w->stop, 'the end');
done_testing;
