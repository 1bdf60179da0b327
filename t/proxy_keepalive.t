# Connections to upstreams: kept, counted, bounded, given up; and what happens when the peer had closed one.
use lib 't/lib';
use Weir;

my $backend = Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    my $uri = $req->uri;
    if ($uri =~ /last/) {       # says keep-alive, and closes
        $conn->send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast");
        $conn->close;
        return undef;
    }
    if ($uri =~ /stale/ && $req->n > 1) {       # takes the request and closes without a word
        $conn->close;
        return undef;
    }
    return "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nc" if $uri =~ /close/;
    return "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\no" if $uri =~ /old/;
    return $req->conn . '/' . $req->n;
});
my $w = Weir->new(vars => { B => $backend->addr }, conf => <<'EOC')->start;
events { }
worker_processes 1;
http {
    log_format tries "$uri $status $upstream_addr $upstream_status $upstream_bytes_sent";
    access_log access.log tries;
    upstream kept { server %%B%%; }
    upstream none { server %%B%%; keepalive 0; }
    upstream three { server %%B%%; keepalive_requests 3; }
    upstream brief { server %%B%%; keepalive_timeout 50ms; }
    upstream aged { server %%B%%; keepalive_time 1ms; }
    upstream two { server %%B%%; keepalive 2; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://kept; }
        location /none/ { proxy_pass http://none; }
        location /three/ { proxy_pass http://three; }
        location /brief/ { proxy_pass http://brief; }
        location /aged/ { proxy_pass http://aged; }
        location /two/ { proxy_pass http://two; }
        location /old/ { proxy_http_version 1.0; proxy_pass http://kept; }
        location /bound/ { proxy_bind 127.0.0.2; proxy_pass http://kept; }
    }
}
EOC

sub used { my ($uri, $n) = @_; my $before = $backend->connections; $w->get($uri) for 1 .. $n; return $backend->connections - $before }
is(used('/', 5), 1, 'one connection for five requests');
is(used('/none/', 3), 3, 'keepalive 0: one each');
is(used('/three/', 7), 3, 'keepalive_requests 3');
$w->get('/close/');
is(used('/close/', 2), 2, 'Connection: close is heeded');
is(used('/old/', 2), 2, 'HTTP/1.0 closes');
is($w->get('/bound/')->body =~ m{/1$} ? 1 : 0, 1, 'another source address: another connection');
is(used('/bound/', 2), 0, 'which is kept as well');

# keepalive_timeout: the upstream sees the end.
$w->get('/brief/');
my ($worker) = $w->workers;
sub sockets { my @fd = glob "/proc/$worker/fd/*"; return scalar @fd }
my $with = sockets();
$w->get('/brief/');
ok(wait_for(sub { sockets() < $with }, 5), 'keepalive_timeout: closed after it');
$w->get('/aged/');
ok(wait_for(sub { used('/aged/', 1) }, 5), 'keepalive_time: not kept when older');

# What the peer closed while it waited is not used.
$w->get('/last');
for my $i (1 .. 20) {
    is($w->get('/last')->body, 'last', "the peer closes after each answer ($i)");
}
unlike($w->error_log, qr/\[error\]/, 'and nobody minds');

# A peer that closes at the moment of reuse: asked again, on a new connection.
is($w->get('/stale')->status, 200, 'a kept connection');
for my $i (1 .. 5) {
    my $m = $w->get('/stale');
    is($m->status, 200, "the peer closed when it was asked: the client does not see it ($i)");
    is((split m{/}, $m->body)[1], 1, 'it was a new connection');
}
unlike($w->error_log, qr/\[error\]/, 'not an error of the peer');
like($w->error_log, qr/upstream had closed a kept connection, asking again on a new one/, 'but told');
$w->wait_access(1);
my ($line) = $w->access_log =~ m{^(/stale .*)$}m;
like($line, qr{^/stale 200 [\d.:]+ 200 \d+$}, 'one try for the log');

# A POST is not sent twice when it may have been read.
$w->get('/stale');
my $c = $w->connect;
$c->request('POST', '/stale', body => 'x');
is($c->response->status, 502, 'POST: 502 rather than twice');

done_testing;
