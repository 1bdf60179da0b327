# gunzip: as nginx; and that a body that grows a thousandfold costs no memory.
use lib 't/lib';
use Weir;
use Compress::Zlib ();

my $page = join '', map { "<p>line $_ of one page</p>\n" } 1 .. 2000;
my $gz = Compress::Zlib::memGzip($page);
my %bodies = (whole => $gz, two => $gz . Compress::Zlib::memGzip('second'), garbage => "$gz rubbish", truncated => substr($gz, 0, length($gz) - 20), plain => 'not gzip at all, but said to be', empty => '',
    long => Compress::Zlib::memGzip($page x 50));
my $up = Weir::Backend->new(sub {
    my ($req, $conn) = @_;
    my ($name, $size) = $req->uri =~ m{/([a-z]+)(?:\?(\d+))?$};
    my $head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nETag: \"up\"\r\n";
    return "${head}Content-Length: " . length($bodies{$name}) . "\r\n\r\n" . ($req->method eq 'HEAD' ? '' : $bodies{$name}) unless $size;
    $conn->send("${head}Transfer-Encoding: chunked\r\n\r\n");
    $conn->send(sprintf "%x\r\n%s\r\n", length $_, $_) for $bodies{$name} =~ /(.{1,$size})/gs;
    $conn->send("0\r\n\r\n");
    return undef;
});
my $conf = <<'EOC';
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /on/ { proxy_pass http://%%UP%%; gunzip on; }
        location /off/ { proxy_pass http://%%UP%%; }
        location /vary/ { proxy_pass http://%%UP%%; gunzip on; gunzip_buffers 2 8k; gzip_vary on; }
        location /sub/ { proxy_pass http://%%UP%%; gunzip on; sub_filter page PAGE; sub_filter_once off; }
        location /flow/ { proxy_pass http://%%UP%%; gunzip on; proxy_buffering off; }
        location /gzip/ { proxy_pass http://%%UP%%; gunzip on; gzip on; }
        location /proxied/ { proxy_pass http://%%UP%%; gunzip on; gzip_proxied any; }
    }
}
EOC
sub ask { my ($uri, %h) = @_; my $m = delete $h{method} // 'GET'; return "$m $uri HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" . join('', map { "$_: $h{$_}\r\n" } sort keys %h) . "\r\n" }
my @list = map { ($_ => ask($_)) } qw(/on/whole /off/whole /vary/whole /on/two /on/long /vary/long /on/whole?1 /flow/whole?1 /flow/two?100 /sub/whole /sub/whole?7 /gzip/whole /on/empty);
push @list, map { ("$_, gzip is taken" => ask($_, 'Accept-Encoding' => 'gzip')) } qw(/on/whole /off/whole /vary/whole /sub/whole /gzip/whole);
push @list, 'HEAD' => ask('/on/whole', method => 'HEAD'), 'gzip;q=0' => ask('/on/whole', 'Accept-Encoding' => 'gzip;q=0');
push @list, "$_, Via" => ask($_, 'Accept-Encoding' => 'gzip', Via => '1.1 x') for qw(/on/whole /proxied/whole);
Weir->compare($conf, \@list, vars => { UP => $up->addr }, differ => { '/on/empty' => 'nothing at all is not taken for a broken gzip body' });

my $hole = "\0" x (1 << 20);
my $d = Compress::Zlib::deflateInit(-WindowBits => 31, -Level => 9);
my $bomb = join '', (map { scalar $d->deflate($hole) } 1 .. 300), scalar $d->flush;
my $bombs = Weir::Backend->new(sub { return "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: " . length($bomb) . "\r\n\r\n$bomb" });
my $w = Weir->new(conf => $conf, vars => { UP => $bombs->addr })->start;
my $broken = Weir->new(conf => $conf, vars => { UP => $up->addr })->start;
for my $name (qw(garbage truncated plain)) {
    my $m = $broken->raw(ask("/on/$name"));
    ok(!$m || !$m->complete, "$name: the client can tell");
}
ok($broken->wait_error(qr/inflate\(\) failed: -3/), 'and the log');

sub memory { my ($pid) = $w->workers; return (split ' ', Weir::slurp("/proc/$pid/statm"))[1] * 4 }
sub cpu { my ($pid) = $w->workers; my @s = split ' ', Weir::slurp("/proc/$pid/stat"); return $s[13] + $s[14] }
$w->get('/off/bomb');
my $before = memory();
my $c = $w->connect;
$c->send(ask('/on/bomb'));
ok(length $c->bytes(100000), 'a bomb begins');
# It stops by itself: nothing more comes out of a worker that has nothing to do.
my ($last, $since) = (-1, 0);
wait_for(sub { my $n = cpu(); $since = $n == $last ? $since + 1 : 0; $last = $n; return $since > 40 });
my $more = memory() - $before;
my $most = $w->sanitized ? 1 << 20 : 4096;      # ASan keeps what was freed
ok($more < $most, "while the client does not read, it takes $more kB");
my $n = 100000;
while ((my $got = length $c->bytes(1 << 20)) > 0) { $n += $got }
ok($n > 300 << 20, "then all $n bytes come");
$more = memory() - $before;
ok($more < $most, "$more kB more than before");
done_testing;
