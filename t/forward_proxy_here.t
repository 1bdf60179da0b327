# SOCKS5 parents with resolve=here: a name is asked for by its addresses, each of them guarded, one after the other; and the parent itself is not to blame.
use lib 't/lib';
use Weir;
use Weir::Dns;

my $told = Weir::scratch() . '/asked';       # what the parent was asked for
sub told { return join ' ', split /\n/, Weir::slurp($told) }
sub forget { unlink $told }
sub socks_server {      # 9.9.9.N: N is the reply; above 100 it is reached, and what it says names it
    my ($c) = @_;
    $c->bytes(unpack 'x C', $c->bytes(2));
    $c->send("\5\0");
    my (undef, undef, undef, $kind) = unpack 'CCCC', $c->bytes(4);
    my $host = $kind == 1 ? join '.', unpack 'C4', $c->bytes(4) : $kind == 4 ? unpack 'H*', $c->bytes(16) : $c->bytes(unpack 'C', $c->bytes(1));
    $c->bytes(2);
    open my $out, '>>', $told or die $!;
    print $out "$host\n";
    close $out;
    my ($last) = $host =~ /(\d+)$/;
    return $c->close if $last == 99;
    if ($last < 100) { $c->send("\5" . chr($last) . "\0\1\0\0\0\0\0\0"); return $c->close }
    $c->send("\5\0\0\1\0\0\0\0\0\0");
    while (defined(my $line = $c->line)) {
        while ($line =~ /HTTP/ && defined(my $l = $c->line)) { last if $l =~ /^\r?\n/ }
        $c->send("HTTP/1.1 200 OK\r\nContent-Length: " . length($host) . "\r\n\r\n$host");
    }
}
my $socks = Weir::Backend->new(\&socks_server, connection => 1);
sub name { my ($n, @last) = @_; return map { "$n.test A 300 $_" } map { /\./ ? $_ : "9.9.9.$_" } @last }
my $d = Weir::Dns->new(name('second', 5, 101), name('fifth', 4, 3, 6, 1, 102), name('none', 4, 5), name('forbidden', 2, 103), name('mixed', 4, '10.0.0.1', '127.0.0.1', 104), name('inner', '10.0.0.1'),
    name('dies', 99, 105), name('first', 106, 5), name('alone', 107), name('swapped', 107, 5));
my $w = Weir->new(vars => { DNS => $d->addr, SOCKS => $socks->port, DEAD => Weir::free_port() }, conf => <<'EOC')->start;
worker_processes 1;
events { }
http {
    resolver %%DNS%% ipv6=off;
    forward_proxy on;
    forward_proxy_access allow all;
    upstream parent { server 127.0.0.1:%%SOCKS%% max_fails=1 fail_timeout=1h; }
    server { listen 127.0.0.1:%%PORT_0%%; forward_proxy_parent socks5://parent resolve=here; }
    server { listen 127.0.0.1:%%PORT_1%%; forward_proxy_parent socks5://127.0.0.1:%%SOCKS%% resolve=here socks5://127.0.0.1:%%SOCKS%% resolve=here; }
    server { listen 127.0.0.1:%%PORT_2%% socks; forward_proxy_parent socks5://127.0.0.1:%%DEAD%% resolve=here socks5://parent resolve=here; }
}
EOC
sub ask { my ($name, $port) = @_; my $c = $w->connect(port => $w->port($port // 0)); $c->send("GET http://$name.test/ HTTP/1.1\r\nHost: x\r\n\r\n"); return $c->response }
sub tunnel { my ($name) = @_; my $c = $w->connect; $c->send("CONNECT $name.test:443 HTTP/1.1\r\nHost: x\r\n\r\n"); my $r = $c->response(method => 'CONNECT'); $c->send("GET / HTTP/1.1\r\n\r\n"); return $r->status == 200 ? $c->response(method => 'GET')->body : $r->status }

# The resolver may give the addresses in another order: what is looked at is which were asked for, and what came of it.
for (['second', '9.9.9.101', 2], ['fifth', '9.9.9.102', 5], ['first', '9.9.9.106', 2]) {
    my ($name, $want, $most) = @$_;
    forget();
    is(ask($name)->body, $want, "$name: the address that is reached");
    cmp_ok(scalar(split ' ', told()), '<=', $most, 'each of the others was asked for at most once');
    is(tunnel($name), $want, 'a tunnel');
}
forget();
is(ask('none')->status, 502, 'none is reached');
is(join(' ', sort split ' ', told()), '9.9.9.4 9.9.9.5', 'each was asked for once');
ok($w->wait_error(qr/upstream does not lead to none\.test:80, address 2 of 2: /), 'the log counts them');
is(ask('alone')->body, '9.9.9.107', 'the parent is well all the same');
unlike($w->error_log, qr/no live upstreams/, 'and never was anything else');
forget();
is(ask('mixed')->body, '9.9.9.104', 'of others');
is(join(' ', grep { !/^9\.9\.9/ } split ' ', told()), '', 'what the guard refuses is not asked for');
ok($w->wait_error(qr/no connection to 10\.0\.0\.1:80, which is private/), 'it said so');
like(ask('inner')->body, qr/rule "address"/, 'a name that has nothing else');
{
    my @got = map { ask('forbidden') } 1 .. 4;
    is(scalar(grep { $_->status != 403 && $_->body ne '9.9.9.103' } @got), 0, 'a parent that does not let us there is not asked on');
}
forget();
like(ask('dies', 1)->status, qr/^(?:200|502)$/, 'a parent that breaks off');
cmp_ok(scalar(grep { $_ eq '9.9.9.99' } split ' ', told()), '<=', 2, 'has failed: the next one is asked from the first address on');
{
    my $c = $w->connect(port => $w->port(2));
    $c->send("\5\1\0\5\1\0\3\x0asecond.test" =~ s/\x0a/\x0b/r . pack 'n', 443);
    is(unpack('H*', $c->bytes(2)) . unpack('H4', $c->bytes(10)), '05000500', 'a SOCKS client, behind a parent that is gone');
    $c->send("GET / HTTP/1.1\r\n\r\n");
    is($c->response->body, '9.9.9.101', 'gets there');
}
is(ask('swapped')->body, '9.9.9.107', 'a kept connection is for names with the same addresses') for 1 .. 2;
done_testing;
