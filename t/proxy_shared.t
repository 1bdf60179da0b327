# What is known of upstreams: $upstream_* in logs, unix sockets, addresses at run time, state over workers and reloads.
use lib 't/lib';
use Weir;

my $backend = Weir::Backend->new(sub {
    my ($req) = @_;
    return "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /second\r\nContent-Length: 0\r\n\r\n" if $req->uri =~ /first/;
    return [200, ['X-Some-Name' => 'one', 'X-Some-Name' => 'two', 'Set-Cookie' => 'a=1; Path=/', 'Set-Cookie' => 'bee=2'], 'hello'];
});
my $unix = Weir::scratch() . '/backend.sock';
my $local = Weir::Backend->new(sub { 'by unix ' . $_[0]->uri . ' ' . $_[0]->header('Host') }, unix => $unix);
chmod 0777, $unix;
my $peer = Weir::Backend->new(sub { my ($req, $conn) = @_; $conn->sock->peerhost });
my $dead = '127.0.0.1:' . Weir::free_port();
my $w = Weir->new(vars => { B => $backend->addr, U => $local->addr, P => $peer->addr, DEAD => $dead }, conf => <<'EOC')->start;
worker_processes 4;
events { }
http {
    log_format up "$uri|$upstream_addr|$upstream_status|$upstream_connect_time|$upstream_header_time|$upstream_response_time|$upstream_response_length|$upstream_bytes_sent|$upstream_bytes_received|$upstream_http_x_some_name|$upstream_cookie_bee|$proxy_host|$proxy_port";
    access_log access.log up;
    upstream sick { server %%DEAD%% fail_timeout=60s; server %%B%%; }
    upstream socket { server %%U%%; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { proxy_pass http://%%B%%; }
        location /sick/ { proxy_pass http://sick; }
        location /unix/ { proxy_pass http://%%U%%:/there/; }
        location /unix2/ { proxy_pass http://socket; }
        location /unix3/ { set $s %%U%%; proxy_pass http://$s:/x; }
        location /by/ { proxy_pass http://$arg_b; }
        location /named/ { proxy_pass http://$arg_b/other?k=v; }
        location /bind/ { proxy_bind 127.0.0.9; proxy_pass http://%%P%%; }
        location /bindvar/ { proxy_bind $arg_a; proxy_pass http://%%P%%; }
        location /bindoff/ { proxy_bind off; proxy_pass http://%%P%%; }
    }
}
EOC

sub logged { my ($uri, $n) = @_; my @l; wait_for(sub { @l = grep { index($_, "$uri|") == 0 } split /\n/, $w->access_log; @l >= ($n // 1) }, 5); return [split /\|/, $l[-1] // '', -1] }
my ($time, $b) = (qr/^0\.\d{3}$/, $backend->addr);
$w->get('/plain');
my $l = logged('/plain');
is($l->[1], $b, '$upstream_addr');
is($l->[2], 200, '$upstream_status');
like($l->[$_], $time, "time $_") for 3 .. 5;
is($l->[6], 5, '$upstream_response_length');
like($l->[7], qr/^\d\d+$/, '$upstream_bytes_sent');
like($l->[8], qr/^\d\d+$/, '$upstream_bytes_received');
is($l->[9], 'one, two', '$upstream_http_NAME');
is($l->[10], 2, '$upstream_cookie_NAME');
is($l->[11], $b, '$proxy_host');
is($l->[12], $backend->port, '$proxy_port');
is($w->get('/first')->body, 'hello', 'X-Accel-Redirect to another proxied place');
$l = logged('/second');
is($l->[1], "$b : $b", 'addresses over an internal redirect');
is($l->[2], '200 : 200', 'statuses');
is($l->[6], '0 : 5', 'lengths');

# One worker's failure is known to all; a reload keeps it.
my $refused = sub { my $n = () = $w->error_log =~ /connect\(\) failed \(111/g; return $n };
is($w->connect->get('/sick/')->status, 200, "request $_") for 1 .. 40;
is($refused->(), 1, '40 connections over 4 workers: the dead one was asked once');
$l = logged('/sick/', 40);
$w->reload;
is($w->connect->get('/sick/')->status, 200, "after the reload $_") for 1 .. 20;
is($refused->(), 1, 'nor after a reload');

is($w->get('/unix/x')->body, 'by unix /there/x localhost', 'unix: in proxy_pass');
is($w->get('/unix2/x')->body, 'by unix /unix2/x socket', 'unix: in an upstream');
is($w->get('/unix3/x')->body, 'by unix /x localhost', 'unix: in a variable');
$l = logged('/unix/x');
is($l->[1], $local->addr, 'unix: in $upstream_addr');
is($w->get("/by/?b=$b")->body, 'hello', 'a numeric address in a variable');
is($w->get("/by/?b=socket")->body, 'by unix /by/?b=socket socket', 'the name of an upstream in a variable');
is($w->get("/named/?b=socket")->body, 'by unix /other?k=v socket', 'with a uri: that is what is sent');
is($w->get('/by/?b=x%20y')->status, 502, 'nonsense in a variable');
is($w->get('/by/?b=1.2.3.4:99999')->status, 500, 'a port that is none');

is($w->get('/bind/')->body, '127.0.0.9', 'proxy_bind');
is($w->get('/bindvar/?a=127.0.0.8')->body, '127.0.0.8', 'proxy_bind with a variable');
is($w->get('/bindoff/')->body, '127.0.0.1', 'proxy_bind off');

# What is wrong in a configuration.
sub refused { my ($conf, $why) = @_;
    my $t = Weir->new(conf => "events { }\nhttp { $conf }\n", vars => { B => $b });
    like(join('', $t->t_binary('-t')), $why, "refused: $conf");
}
my $server = 'server { listen 127.0.0.1:%%PORT_0%%;';
refused("upstream a { } $server }", qr/no servers are inside upstream/);
refused("upstream a { server 127.0.0.1; } upstream a { server 127.0.0.1; } $server }", qr/duplicate upstream "a"/);
refused("upstream a { server 127.0.0.1 wight=2; } $server }", qr/invalid parameter "wight=2"/);
refused("upstream a { server 127.0.0.1; } $server location / { proxy_pass http://a:8080; } }", qr/upstream "a" may not have port 8080/);
refused("$server location / { proxy_pass ftp://a; } }", qr/invalid URL prefix/);
refused("$server location / { proxy_pass http://a:b; } }", qr/invalid port/);
refused("$server location ~ x { proxy_pass http://127.0.0.1/x; } }", qr/"proxy_pass" cannot have URI part in location given by regular expression/);
refused("$server location / { proxy_pass http://127.0.0.1; proxy_pass http://127.0.0.1; } }", qr/"proxy_pass" directive is duplicate/);
refused("proxy_buffer_size 128k; $server }", qr/"proxy_busy_buffers_size" must be less than the size of all "proxy_buffers" minus one buffer/);
refused("proxy_next_upstream sometimes; $server }", qr/invalid value "sometimes"/);
done_testing;
