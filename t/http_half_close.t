# A client that shuts its side while the upstream's answer arrives in the same turn: the request is over, and so is the
# connection. Nothing of that answer may be left for the next request on it.
use lib 't/lib';
use Weir;
use IO::Socket::INET;
use Socket qw(SHUT_WR);

my $backend = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die;
my $w = Weir->new(conf => <<'EOC', vars => { BACKEND => '127.0.0.1:' . $backend->sockport })->start;
worker_processes 1;
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { return 200 "own $connection_requests\n"; }
        location /proxy/ { proxy_pass http://%%BACKEND%%; }
    }
}
EOC
my ($worker) = $w->workers;
my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $w->port(0)) or die;
$client->syswrite("GET /proxy/a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n");
my $up = $backend->accept or die;
my $head = '';
$up->sysread($head, 1000, length $head) until $head =~ /\r\n\r\n/;

# Both events in one turn, the client's first.
kill STOP => $worker;
wait_for(sub { (Weir::proc_stat($worker))[0] eq 'T' });
shutdown $client, SHUT_WR;
$up->syswrite("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nthe body\n");
kill CONT => $worker;

my $got = '';
1 while $client->sysread($got, 1000, length $got);
unlike($got, qr/own/, 'the next request on the connection is not answered');
like($got, qr/^(HTTP.*\r\n\r\nthe body\n)?$/s, 'no half an answer');
is($w->get('/')->body, "own 1\n", 'the worker serves on');
is(join(' ', $w->workers), $worker, 'and is the same');
done_testing;
