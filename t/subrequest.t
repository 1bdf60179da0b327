# Requests within requests: clients that leave, slow clients, failing upstreams, limits, logs.
use lib 't/lib';
use Weir;

pipe my $there, my $told or die;
my $back = Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    my $uri = $req->uri;
    if ($uri =~ /hang/) { syswrite $told, 'x'; $conn->line; syswrite $told, 'y'; return undef }
    if ($uri =~ /flood/) {
        my $sent = 0;
        $conn->send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 200000000\r\n\r\n");
        $conn->sock->blocking(0);
        while ($sent < 200_000_000) {
            my $n = syswrite $conn->sock, 'f' x 65536;
            if (defined $n) { $sent += $n; next }
            my $bits = '';
            vec($bits, fileno $conn->sock, 1) = 1;
            last unless select undef, $bits, undef, 1.5;
        }
        syswrite $told, "$sent\n";
        return undef;
    }
    return "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\nConnection: close\r\n\r\ncut" if $uri =~ /cut/;
    return [200, ['Content-Type' => 'text/html'], "($uri)"];
});
my %files = (
    'html/hang.html' => 'before<!--#include virtual="/up/hang" -->after',
    'html/hang3.html' => 'before<!--#include virtual="/up/hang" --><!--#include virtual="/up/hang" wait="yes" --><!--#include virtual="/up/hang" -->after',
    'html/flood.html' => 'before<!--#include virtual="/up/flood" -->after',
    'html/second.html' => 'before<!--#include virtual="/up/hang" --><!--#include virtual="/up/flood" -->after',
    'html/deep.html' => '<!--#include virtual="/deep2.html" --><!--#include virtual="/b.txt" -->',
    'html/deep2.html' => '[<!--#include virtual="/up/a" --><!--#include virtual="/up/b" set="v" --><!--#echo var="v" -->]',
    'html/cut.html' => '1<!--#include virtual="/up/cut" -->2',
    'html/wide.html' => join('', map { "<!--#include virtual=\"/b.txt\" -->" } 1 .. 5000),
    'html/b.txt' => "b\n",
);
my $conf = <<'EOC';
events { }
http {
    types { text/html html; text/plain txt; }
    log_format l '$request|$uri|$status|$request_method';
    access_log %%TESTDIR%%/access.log l;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        ssi on;
        location / { }
        location /logged/ { log_subrequest on; alias %%TESTDIR%%/html/; }
        location /up/ { log_subrequest on; proxy_pass http://%%BACK%%; }
        location /unbuffered/ { proxy_buffering off; proxy_pass http://%%BACK%%/up/; }
        location /limited/ { proxy_max_temp_file_size 0; proxy_pass http://%%BACK%%/up/; }
    }
}
EOC
sub get { my $uri = shift; return "GET $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n\r\n" }

# As nginx: contents, and what is logged of them.
my @w = Weir->compare($conf, [ map({ ($_ => get($_)) } qw(/deep.html /cut.html /wide.html /deep2.html)) ], files => \%files, vars => { BACK => $back->addr });
my @logs = map { my $w = $_; $w->wait_access(8); join "\n", sort grep { !m{^GET /cut} } split /\n/, $w->access_log } @w;
is($logs[1], $logs[0], 'log_subrequest: the same lines');

# A client that leaves: all that was begun for it ends.
my $w = $w[1];
for my $case (['/hang.html', 1], ['/hang3.html', 2]) {
    my ($uri, $n) = @$case;
    my $c = $w->connect;
    $c->send("GET $uri HTTP/1.1\r\nHost: h\r\n\r\n");
    sysread $there, my $x, 1 for 1 .. $n;
    $c->close;
    sysread $there, $x, 1 for 1 .. $n;
    is($x, 'y', "$uri: subrequests end with their client");
}

# A slow client holds the upstream up: what is between them is bounded.
sub memory { my $sum = 0; for my $pid ($_[0]->workers) { $sum += $1 if Weir::slurp("/proc/$pid/status") =~ /VmRSS:\s+(\d+)/ } return $sum }
for my $way (qw(unbuffered limited)) {
    (my $page = $files{'html/flood.html'}) =~ s{/up/}{/$way/};
    $w->write_file("html/flood-$way.html", $page);
    my $before = memory($w);
    my $c = $w->connect;
    $c->send("GET /flood-$way.html HTTP/1.1\r\nHost: h\r\n\r\n");
    my $line = <$there>;
    cmp_ok($line, '<', 40_000_000, "$way: the upstream waits for the client");
    my $grown = memory($w) - $before;
    cmp_ok($grown, '<', 8000, "$way: memory stays") if $w->{binary} !~ /san/;
    $c->close;
}
done_testing;
