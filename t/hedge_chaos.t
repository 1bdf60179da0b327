# proxy_hedge among servers that are slow, close, send half a head, or refuse: each client gets its own answer, once, and
# nothing is left behind.
use lib 't/lib';
use Weir;
use Time::HiRes 'sleep';

my $rude = sub {
    my ($req, $conn) = @_;
    my $how = ($req->uri =~ /(\d+)$/ ? $1 : 0) * 7 + $$ * 13;
    return 'for ' . $req->uri if $req->uri =~ /well/;
    sleep $how % 5 * 0.012;
    if ($how % 11 == 0) { $conn->close; return undef }
    if ($how % 11 == 1) { $conn->send("HTTP/1.1 200 OK\r\nX-Half: "); sleep 0.03; $conn->close; return undef }
    return [503, [], 'no'] if $how % 11 == 2;
    if ($how % 11 == 3) { my $body = 'for ' . $req->uri; $conn->send("HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\n"); sleep 0.02; $conn->send("\r\n$body"); return undef }
    return 'for ' . $req->uri;
};
my @plain = map { Weir::Backend->new($rude, quiet => 1) } 1 .. 4;
my $servers = join ' ', map { 'server ' . $_->addr . ' max_conns=20 max_fails=0;' } @plain;
my $w = Weir->new(conf => <<"EOC")->start;
worker_processes 4;
events { }
http {
    log_format l "\$uri \$status \$upstream_addr \$upstream_status";
    access_log access.log l;
    upstream plain { zone plain 64k; $servers breaker max_requests=100; }
    proxy_next_upstream error timeout http_503;
    proxy_hedge 12ms;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /plain/ { proxy_pass http://plain; }
        location /p/ { proxy_hedge p50 min=1ms; proxy_next_upstream_budget 50% min=5; proxy_pass http://plain; }
        location /api { api; access_log off; }
    }
}
EOC
storm($_) for 'plain', 'p';

sub storm {
    my $kind = shift;
    my @clients = map { my $n = $_;
        pipe my $in, my $out or die;
        my $pid = fork // die;
        if (!$pid) {
            my ($wrong, $ok, $failed) = (0, 0, 0);
            for my $i (1 .. 40) {
                my $uri = "/$kind/$n/$i";
                my $m = eval { $w->connect(timeout => 60)->get($uri, headers => [Connection => 'close']) };
                if (!$m) { $wrong++ } elsif ($m->status == 200) { $m->body eq "for $uri" ? $ok++ : $wrong++ } else { $m->status =~ /^50[23]$/ ? $failed++ : $wrong++ }
            }
            print $out "$wrong $ok $failed\n";
            close $out;
            Weir::leave();
        }
        { pid => $pid, in => $in };
    } 1 .. 5;
    my ($wrong, $ok, $failed) = (0, 0, 0);
    for my $c (@clients) {
        my $fh = $c->{in};
        my @n = split ' ', <$fh> // '40 0 0';
        waitpid $c->{pid}, 0;
        $wrong += $n[0]; $ok += $n[1]; $failed += $n[2];
    }
    is($wrong, 0, "$kind: each client gets its own answer");
    cmp_ok($ok, '>', 150, "$kind: most are well ($ok, $failed failed)");
    ok(wait_for(sub { join(' ', $w->get("/api/9/http/upstreams/plain")->body =~ /"active":(\d+)/g) eq '0 0 0 0' }, 20), "$kind: no place is left taken");
    ok(wait_for(sub { my @l = grep { m{^/$kind/} } split /\n/, $w->access_log; @l == 200 }, 10), "$kind: a line for each");
    ok((grep { m{^/$kind/\S+ 200 \S+, \S+ (-, 200|200, -)$} } split /\n/, $w->access_log), "$kind: some were hedged");
}
is_deeply([map { $w->get("/plain/well$_")->body } 1 .. 8], [map { "for /plain/well$_" } 1 .. 8], 'and it goes on');
done_testing;
