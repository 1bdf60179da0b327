# Which peer of a group is asked: the same ones as nginx asks, for every method that is not chance.
use lib 't/lib';
use Weir;

# Backends that say who they are: one server of the kind under test, many ports.
my @weights = (1, 5, 2, 1, 3, 1, 10, 1);
my @ports = map { Weir::free_port() } @weights;
my $dead = Weir::free_port();
my $who = Weir->new(conf => "events { }\nhttp { keepalive_requests 100000; " . join(' ', map { "server { listen 127.0.0.1:$_; return 200 $_; }" } @ports) . " }\n")->start;

my @servers = map { "server 127.0.0.1:$ports[$_] weight=$weights[$_];" } 0 .. $#ports;
my $all = join ' ', @servers;
my $failing = join ' ', @servers[0 .. 5], "server 127.0.0.1:$dead weight=6 fail_timeout=1h; server 127.0.0.1:$ports[7] down weight=4;";
my $places = join '', map { "upstream $_->[0] { $_->[1] keepalive 16; }\n" }
    ['plain', "hash \$arg_k; $all"], ['ring', "hash \$arg_k consistent; $all"], ['address', "ip_hash; $all"],
    ['plain_failing', "hash a\$arg_k; $failing"], ['ring_failing', "hash a\$arg_k consistent; $failing"], ['address_failing', "ip_hash; $failing"],
    ['doubled', "hash \$arg_k consistent; server 127.0.0.1:$ports[0]; server 127.0.0.1:$ports[0]; server 127.0.0.1:$ports[1]; server localhost:$ports[2]; server 127.0.0.1:$ports[3];"];
my $conf = <<"EOC";
worker_processes 1;
events { }
http {
    keepalive_requests 100000;
    set_real_ip_from 127.0.0.1;
    access_log off;
    $places
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location ~ ^/(?<where>\\w+)\$ { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://\$where; }
    }
}
EOC
my @both = map { Weir->new(conf => $conf, $_ ? (binary => $Weir::nginx) : ())->start } 1, 0;

# Requests go in batches on one connection; the answers' bodies, in order.
sub answers {
    my ($w, @requests) = @_;
    my $c = $w->connect(timeout => 60);
    my @got;
    while (my @batch = splice @requests, 0, 50) {
        $c->send(join '', map { "GET /$_->[0] HTTP/1.1\r\nHost: a\r\n" . ($_->[1] // '') . "\r\n" } @batch);
        for (@batch) {
            my $m = $c->response;
            push @got, $m && $m->status == 200 ? $m->body : 'none';
        }
    }
    return \@got;
}

sub same {
    my ($name, @requests) = @_;
    my ($nginx, $weir) = map { answers($_, @requests) } @both;
    my @differ = grep { $nginx->[$_] ne $weir->[$_] } 0 .. $#requests;
    is(scalar(@differ), 0, scalar(@requests) . " of $name go where nginx sends them")
        or diag(map { "$requests[$_][0] $nginx->[$_] $weir->[$_]\n" } @differ[0 .. ($#differ > 5 ? 5 : $#differ)]);
    my %at;
    $at{$_}++ for @$weir;
    ok(!$at{none}, "$name: all are answered");
    cmp_ok(scalar(keys %at), '>=', 3, "$name: over several peers: " . join ' ', map { $at{$_} } sort keys %at);
}

my @keys = map { "k$_" } 1 .. 10000;
same('hash', map { ["plain?k=$_"] } @keys);
same('hash consistent', map { ["ring?k=$_"] } @keys);
same('hash, some peers down', map { ["plain_failing?k=$_"] } @keys[0 .. 999]);
same('hash consistent, some peers down', map { ["ring_failing?k=$_"] } @keys[0 .. 999]);
same('hash consistent, a server twice', map { ["doubled?k=$_"] } @keys[0 .. 499]);
same('hash of an empty key', map { ["plain"] } 1 .. 30);
my $number = 7;
sub any { $number = ($number * 1103515245 + 12345) % 2**31; return ($number >> 8) % $_[0] }
my @addresses = ((map { join '.', map { any(256) } 1 .. 4 } 1 .. 400), map { join ':', map { sprintf '%x', any(65536) } 1 .. 8 } 1 .. 100);
same('ip_hash', map { ['address', "X-Real-IP: $_\r\n"] } @addresses);
same('ip_hash, some peers down', map { ['address_failing', "X-Real-IP: $_\r\n"] } @addresses);

# What is wrong, or odd, in a configuration: nginx's words.
sub said {
    my ($inner, %more) = @_;
    my ($nginx, $weir) = map {
        my $w = Weir->new(conf => "events { }\nhttp { upstream u { $inner } server { listen 127.0.0.1:%%PORT_0%%; } }\n", $_ ? (binary => $Weir::nginx) : ());
        my ($code, $out) = $w->t_binary('-t');
        $w->expect_log(qr/\[emerg\]/, 'it is refused');
        ($code ? 'refused' : 'taken') . ($out =~ /\[(?:warn|emerg)\] (?:\d+#\d+: )?(.*?)(?: in \S+:\d+)?$/m ? ": $1" : '');
    } 1, 0;
    is($weir, $nginx, "as nginx: $inner: $weir");
}
said("server 127.0.0.1:1; $_") for 'hash $uri; ip_hash;', 'keepalive 5; least_conn;', 'least_conn; least_conn;', 'random; hash $uri consistent;',
    'random three;', 'random two x;', 'random two least_conn x;', 'random two;', 'hash $uri foo;', 'hash;',
    'ip_hash; server 127.0.0.1:2 backup;', 'server 127.0.0.1:2 backup; ip_hash;', 'hash $uri; server 127.0.0.1:2 backup;', 'random; server 127.0.0.1:2 backup;',
    'least_conn; server 127.0.0.1:2 backup;', 'ip_hash x;', 'zone a 64k; zone b 64k;', 'least_conn; keepalive 5;';
for (['hash $uri consistent bounded=1.25', 1], ['hash $uri consistent bounded=1', 0], ['hash $uri consistent bounded=x', 0], ['hash $uri consistent x', 0], ['hash $uri bounded=2', 0]) {
    my $w = Weir->new(conf => "events { }\nhttp { upstream u { server 127.0.0.1:1; $_->[0]; } server { listen 127.0.0.1:%%PORT_0%%; } }\n")->expect_log(qr/\[emerg\]/, 'it is refused');
    my ($code, $out) = $w->t_binary('-t');
    $_->[1] ? is($code, 0, $_->[0]) : like($out, qr/invalid parameter "/, "refused: $_->[0]");
}
done_testing;
