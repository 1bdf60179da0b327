# Where the connections of the forward proxy come from: forward_proxy_bind and tunnel_bind with variables, a pair of both families, tunnel_allow_upstream;
# and conf/examples/forward_proxy_egress.conf.
use lib 't/lib';
use Weir;
use IO::Socket::IP;

my $whence = sub { my ($req, $conn) = @_; return $conn->sock->peerhost };
my $b = Weir::Backend->new($whence);
my $port = $b->port;
my $six = IO::Socket::IP->new(LocalHost => '::1', LocalPort => 0, Listen => 16, ReuseAddr => 1);
my $six_port = $six ? $six->sockport : 0;
my $six_pid = $six ? fork // die : 0;
if ($six && !$six_pid) {
    $SIG{TERM} = sub { Weir::leave() };
    while (my $c = $six->accept) { my $in = Weir::Conn->new(sock => $c); Weir::Message->read($in, 'request'); my $from = $c->peerhost; $in->send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " . length($from) . "\r\n\r\n$from"); $in->close }
    Weir::leave();
}
my $w = Weir->new(vars => { PORT => $port }, conf => <<'EOC')->start;
events { }
http {
    log_format f '$status|$forward_proxy_address|$upstream_addr|$request';
    access_log %%TESTDIR%%/access.log f;
    forward_proxy on;
    forward_proxy_access allow all;
    forward_proxy_ports all;
    forward_proxy_address allow loopback;
    upstream mixed { server [::1]:%%PORT%%; server 127.0.0.1:%%PORT%% backup; }
    map $upstream_addr $known { ~127 1; default 0; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { forward_proxy_bind $arg_from; }
        location /both { forward_proxy_bind 127.0.0.4,::1; }
        location /mixed { forward_proxy_bind 127.0.0.5; forward_proxy_parent http://mixed; }
    }
    server { listen 127.0.0.1:%%PORT_1%%; tunnel_bind $http_x_from; tunnel_bind_dynamic on; }
    server { listen 127.0.0.1:%%PORT_2%%; tunnel_allow_upstream $http_x_allowed; }
    server { listen 127.0.0.1:%%PORT_3%%; tunnel_pass localhost:%%PORT%%; tunnel_allow_upstream $http_x_allowed $http_x_too; tunnel_next_upstream denied error; }
}
EOC
sub inner { my $c = shift; $c->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"); my $r = $c->response(method => 'GET'); return $r ? $r->body : 'closed' }
sub ask { my ($what, @fields) = @_; my $c = $w->connect(port => $w->port(0)); $c->send(join "\r\n", "$what HTTP/1.1", 'Host: x', @fields, '', ''); return $c->response }
sub tunnel { my ($n, @fields) = @_; my $c = $w->connect(port => $w->port($n)); $c->send(join "\r\n", "CONNECT 127.0.0.1:$port HTTP/1.1", 'Host: x', @fields, '', ''); my $r = $c->response(method => 'CONNECT') or return 'closed'; return $r->status if $r->status != 200; return inner($c) }

is(ask("GET http://127.0.0.1:$port/?from=127.0.0.2")->body, '127.0.0.2', 'by a variable');
is(ask("GET http://127.0.0.1:$port/?from=127.0.0.3")->body, '127.0.0.3', 'another one: another connection');
is(ask("GET http://127.0.0.1:$port/?from=")->body, '127.0.0.1', 'none');
is(ask("GET http://127.0.0.1:$port/?from=127.0.0.2,::1")->body, '127.0.0.2', 'a pair');
is(ask("GET http://127.0.0.1:$port/both")->body, '127.0.0.4', 'a pair that is fixed');
is(ask("GET http://127.0.0.1:$port/?from=::1")->status, 502, 'none of the family');
ok($w->wait_error(qr/there is no local address of the family of 127\.0\.0\.1:$port, client/), 'is told, and nothing is sent');
is(ask("GET http://127.0.0.1:$port/?from=nonsense")->status, 200, 'no address');
ok($w->wait_error(qr/invalid local address "nonsense"/), 'is told');
is(ask("GET http://127.0.0.1:$port/mixed")->body, '127.0.0.5', 'peers of another family are passed over');
SKIP: {
    skip 'no IPv6', 2 unless $six;
    is(ask("GET http://[::1]:$six_port/both")->body, '::1', 'IPv6 from IPv6');
    is(ask("GET http://[::1]:$six_port/?from=127.0.0.2")->status, 502, 'not from IPv4');
}
is(tunnel(1, 'X-From: 127.0.0.7'), '127.0.0.7', 'tunnels');
is(tunnel(1), '127.0.0.1', 'tunnels without');
is(tunnel(2, 'X-Allowed: 1'), '127.0.0.1', 'tunnel_allow_upstream');
is(tunnel(2), 502, 'is empty');
is(tunnel(2, 'X-Allowed: 0'), 502, 'or 0');
is(tunnel(3, 'X-Allowed: 1', 'X-Too: yes'), '127.0.0.1', 'with tunnel_pass, all of them');
is(tunnel(3, 'X-Allowed: 1'), 502, 'not one alone');
for (['1.2.3.4,5.6.7.8', 'two of a family'], ['1.2.3.4,', 'half a pair'], ['1.2.3.4,x', 'no address']) {
    my ($code, $said) = Weir->new(conf => "events { } http { forward_proxy_bind $_->[0]; server { listen 127.0.0.1:%%PORT_0%%; } }")->t_binary;
    like($said, qr/invalid address "\Q$_->[0]\E"/, $_->[1]);
}

# ---- the example
my $conf = Weir::slurp("$Weir::top/conf/examples/forward_proxy_egress.conf");
$conf =~ s/127\.0\.0\.1:3128;/127.0.0.1:%%PORT_0%%; forward_proxy_ports $port; forward_proxy_address allow loopback;/ or die;
$conf =~ s/198\.51\.100\./127.0.0./g;
$conf =~ s/access_log egress\.log/access_log %%TESTDIR%%\/egress.log/ or die;
my $e = Weir->new(conf => $conf, files => { users => join '', map { "$_:{PLAIN}p\n" } 'mail-gateway', 'crawler', map { "user$_" } 1 .. 60 })->start;
require MIME::Base64;
my (%count, %of, $same);
sub by { my ($user, $tunnel) = @_; my $c = $e->connect; my $login = 'Proxy-Authorization: Basic ' . MIME::Base64::encode("$user:p", ''); $c->send("CONNECT 127.0.0.1:$port HTTP/1.1\r\nHost: x\r\n$login\r\n\r\n"), $c->response(method => 'CONNECT'), return inner($c) if $tunnel; $c->send("GET http://127.0.0.1:$port/ HTTP/1.1\r\nHost: x\r\n$login\r\n\r\n"); return $c->response->body }
is(by('mail-gateway'), '127.0.0.25', 'a user with an address of its own');
is(by('crawler', 1), '127.0.0.80', 'another, for tunnels too');
$count{ $of{$_} = by("user$_") }++ for 1 .. 60;
is_deeply([sort keys %count], [map { "127.0.0.$_" } 11 .. 13], 'the others are spread') or diag(explain(\%count));
is(scalar(grep { $of{$_} eq by("user$_", $_ % 2) } 1 .. 20), 20, 'each stays where it is');
ok(wait_for(sub { Weir::slurp($e->dir . '/egress.log') =~ /127\.0\.0\.1 mail-gateway "GET http:\/\/127\.0\.0\.1:$port\/ HTTP\/1\.1" 200 from=127\.0\.0\.25 address=127\.0\.0\.1:$port/ }), 'the log');
kill 'TERM', $six_pid if $six_pid;
waitpid $six_pid, 0 if $six_pid;
done_testing;
