# The same conversations with squid: statuses, and what the origin sees of the request's line and Host.
use lib 't/lib';
use Weir;

my $squid = '/usr/sbin/squid';
plan(skip_all => 'no squid') unless -x $squid;
my $echo = Weir::Backend->new(sub { my $req = shift; my ($line, $host, $mine) = ($req->head =~ /^(.*)\r/, $req->head =~ /^(Host: .*)\r/mi, join ',', sort map { lc } $req->head =~ /^(X-[^:]*|Proxy-[^:]*|TE|Keep-Alive):/mgi); return [200, [], "$line|$host|$mine|" . $req->body] });
my $port = Weir::free_port();
my $dir = Weir::scratch() . '/squid';
mkdir $dir;
chmod 0777, $dir;
open my $out, '>', "$dir/conf" or die;
print $out "http_port 127.0.0.1:$port\nacl ours port 80 443 @{[$echo->port]}\nhttp_access deny !ours\nacl bad dstdomain .ads.example\nhttp_access deny bad\nhttp_access allow all\ncache deny all\naccess_log none\ncache_log $dir/log\ncache_store_log none\npid_filename none\ncoredump_dir $dir\npinger_enable off\nvia on\nforwarded_for delete\nshutdown_lifetime 1 seconds\n";
close $out;
my $pid = fork // die;
if (!$pid) { open STDOUT, '>', "$dir/out"; open STDERR, '>&', \*STDOUT; exec $squid, '-N', '-f', "$dir/conf" or Weir::leave(127) }
my $w = Weir->new(vars => { BACK => $echo->port }, files => { 'bad' => "ads.example\n" }, conf => 'events { } http { server { listen 127.0.0.1:%%PORT_0%%; forward_proxy on; forward_proxy_ports %%BACK%%; forward_proxy_address allow loopback; forward_proxy_access deny list=%%TESTDIR%%/bad; forward_proxy_access allow all; } }')->start;
sub dial { return eval { Weir::Conn->new(port => $_[0]) } }
wait_for(sub { dial($port) }, 30) or diag(Weir::slurp("$dir/log"));

my $o = $echo->addr;
my @talks = (
    ['plain', 'GET', "GET http://$o/a?b HTTP/1.1\r\nHost: $o\r\nX-A: 1\r\n\r\n"],
    ['another Host', 'GET', "GET http://$o/a HTTP/1.1\r\nHost: evil.example\r\n\r\n"],
    ['hop-by-hop', 'GET', "GET http://$o/ HTTP/1.1\r\nHost: $o\r\nConnection: X-H\r\nX-H: 1\r\nX-K: 2\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nKeep-Alive: 3\r\n\r\n"],
    ['a body', 'POST', "POST http://$o/p HTTP/1.1\r\nHost: $o\r\nContent-Length: 3\r\n\r\nabc"],
    ['HTTP/1.0', 'GET', "GET http://$o/old HTTP/1.0\r\n\r\n"],
    ['HEAD', 'HEAD', "HEAD http://$o/h HTTP/1.1\r\nHost: $o\r\n\r\n"],
    ['a port', 'GET', "GET http://127.0.0.1:25/ HTTP/1.1\r\nHost: x\r\n\r\n"],
    ['a tunnel to a port', 'CONNECT', "CONNECT 127.0.0.1:25 HTTP/1.1\r\nHost: x\r\n\r\n"],
    ['a list', 'GET', "GET http://www.ads.example/ HTTP/1.1\r\nHost: www.ads.example\r\n\r\n"],
    ['a tunnel', 'CONNECT', "CONNECT $o HTTP/1.1\r\nHost: $o\r\n\r\n", "GET /in HTTP/1.1\r\nHost: inner\r\nConnection: close\r\n\r\n"],
);
for (@talks) {
    my ($what, $method, $first, $second) = @$_;
    my @said;
    for my $p ($port, $w->port(0)) {
        my $c = dial($p) or do { push @said, 'nobody'; next };
        $c->send($first);
        my $r = $c->response(method => $method);
        my $said = $r ? $r->status . ($r->status == 200 && $method ne 'CONNECT' ? ' ' . $r->body : '') : 'closed';
        if ($second) { $c->send($second); my $in = $c->rest // ''; $in =~ s/.*\r\n\r\n//s; $said .= " $in" }
        push @said, $said;
    }
    is($said[1], $said[0], "$what: $said[0]");
    like($said[0], qr/GET \/in HTTP/, 'through which the origin is asked') if $second;
}
kill 'TERM', $pid;
waitpid $pid, 0;
done_testing;
