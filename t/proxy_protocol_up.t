# The PROXY protocol towards upstreams: what is said, by which versions, over which connections.
use lib 't/lib';
use Weir;
use Weir::Pem;

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca');
$pem->issue('leaf', by => 'ca', names => ['a.test']);
my %vars = (PEM => Weir::scratch() . '/pem', map { ("UP$_" => Weir::free_port()) } 1 .. 4);
my $first = Weir::Backend->new(sub { my $conn = shift; my $line = $conn->line; 1 until ($conn->line // "\n") =~ /^\r?\n/; $line =~ s/\r\n//; $conn->send("HTTP/1.1 200 OK\r\nContent-Length: " . length($line) . "\r\nConnection: close\r\n\r\n$line"); $conn->close }, connection => 1);
my $back = <<'EOC';
events { }
http {
    server { listen 127.0.0.1:%%UP1%% proxy_protocol; return 200 "$proxy_protocol_addr:$proxy_protocol_port>$proxy_protocol_server_addr:$proxy_protocol_server_port $connection\n"; }
EOC
my $nginx = Weir->new(binary => $Weir::nginx, vars => \%vars, conf => "$back}\n")->start;
my $far = Weir->new(vars => \%vars, conf => <<'EOC')->start;
events { }
http {
    server { listen 127.0.0.1:%%UP2%% proxy_protocol; return 200 "$proxy_protocol_addr:$proxy_protocol_port>$proxy_protocol_server_addr:$proxy_protocol_server_port $connection [$proxy_protocol_tlv_unique_id] [$proxy_protocol_tlv_0xE1] [$proxy_protocol_tlv_authority]\n"; }
    server { listen 127.0.0.1:%%UP3%% proxy_protocol ssl; ssl_certificate %%PEM%%/leaf.pem; ssl_certificate_key %%PEM%%/leaf.key; return 200 "$proxy_protocol_addr:$proxy_protocol_port $ssl_protocol $connection\n"; }
}
EOC
my $w = Weir->new(vars => { %vars, FIRST => $first->addr }, conf => <<'EOC')->start;
worker_processes 1;
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen [::1]:%%PORT_0%%;
        listen unix:%%TESTDIR%%/sock;
        location /line { proxy_protocol on; proxy_pass http://%%FIRST%%; }
        location /nginx/v1 { proxy_protocol v1; proxy_pass http://127.0.0.1:%%UP1%%; }
        location /nginx/v2 { proxy_protocol v2; proxy_pass http://127.0.0.1:%%UP1%%; }
        location /v2 { proxy_protocol v2; proxy_pass http://127.0.0.1:%%UP2%%; }
        location /v2/tlv { proxy_protocol v2 unique_id=$arg_id tlv=0xE1:one-$arg_t tlv=0x02:a.test; proxy_pass http://127.0.0.1:%%UP2%%; }
        location /tls { proxy_protocol v2; proxy_pass https://127.0.0.1:%%UP3%%; }
        location /off/ { proxy_protocol v2; location /off/here { proxy_protocol off; proxy_pass http://127.0.0.1:%%UP2%%; } }
    }
}
EOC

my $port = $w->port(0);
sub ask { my ($c, $uri) = @_; my $m = $c->get($uri); return $m ? $m->body : '' }
my $c = $w->connect;
my $own = $c->local_port;
is(ask($c, '/line'), "PROXY TCP4 127.0.0.1 127.0.0.1 $own $port", 'version 1, as it goes');
my $six = $w->connect(addr => '::1');
is(ask($six, '/line'), "PROXY TCP6 ::1 ::1 " . $six->local_port . " $port", 'of an IPv6 client');
is(ask($w->connect(unix => $w->dir . '/sock'), '/line'), 'PROXY UNKNOWN', 'of a unix socket');
like(ask($c, "/nginx/$_"), qr/^127\.0\.0\.1:$own>127\.0\.0\.1:$port \d+$/, "nginx understands $_") for qw(v1 v2);
like(ask($c, '/v2'), qr/^127\.0\.0\.1:$own>127\.0\.0\.1:$port (\d+) \[\] \[\] \[\]$/, 'version 2');
is(ask($c, '/v2'), ask($c, '/v2'), 'a connection serves the same client again');
isnt((split ' ', ask($w->connect, '/v2'))[1], (split ' ', ask($c, '/v2'))[1], 'and no other');
like(ask($c, '/v2/tlv?id=abc&t=x'), qr/ \[abc\] \[one-x\] \[a\.test\]$/, 'TLVs');
like(ask($c, '/v2/tlv?id=other&t=x'), qr/ \[other\] \[one-x\] \[a\.test\]$/, 'of each request');
like(ask($c, '/v2/tlv?t=' . 'y' x 3000), qr/ \[\] \[\] \[a\.test\]$/, 'one too long is left out');
my $tls = ask($c, '/tls');
like($tls, qr/^127\.0\.0\.1:$own TLSv1\.[23] \d+$/, 'before TLS');
is(ask($c, '/tls'), $tls, 'which is kept as well');
is($w->get('/off/here')->status, 502, 'off: the other side misses it');

for my $line ('proxy_protocol v3;', 'proxy_protocol on unique_id=x;', 'proxy_protocol v2 tlv=0x100:x;', 'proxy_protocol v2 tlv=5:x;', 'proxy_protocol v2 what;') {
    my $wrong = Weir->new(conf => "events { } http { server { listen 127.0.0.1:1; location / { $line proxy_pass http://127.0.0.1:1; } } }", plain => 1);
    my ($code, $out) = $wrong->t_binary;
    is($code, 1, "$line is refused") or diag($out);
}
done_testing;
