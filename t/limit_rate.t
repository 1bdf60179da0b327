# limit_rate: how long a response takes, and that nobody else waits for it.
use lib 't/lib';
use Weir;
use Time::HiRes qw(time);

my $up = Weir::Backend->new(sub { my $req = shift; return [200, ['Content-Type', 'text/plain', ($req->uri =~ /accel/ ? ('X-Accel-Limit-Rate', '20000') : ())], 'x' x 60000] });
my $w = Weir->new(conf => <<'EOC', files => { 'html/a' => 'x' x 60000, 'html/b.html' => 'y' x 300000 }, vars => { UP => $up->addr })->start;
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location /plain/ { alias %%TESTDIR%%/html/; }
        location /slow/ { alias %%TESTDIR%%/html/; limit_rate 20000; }
        location /after/ { alias %%TESTDIR%%/html/; limit_rate 1000; limit_rate_after 60k; }
        location /var/ { alias %%TESTDIR%%/html/; limit_rate $arg_rate; add_header X-Rate $limit_rate; }
        location /set/ { alias %%TESTDIR%%/html/; set $limit_rate 20k; add_header X-Rate $limit_rate; }
        location /up/ { proxy_pass http://%%UP%%; limit_rate 20000; }
        location /accel/ { proxy_pass http://%%UP%%; }
        location /gzip/ { alias %%TESTDIR%%/html/; gzip on; gzip_min_length 0; limit_rate 700; }
    }
}
EOC
sub took { my ($uri, %o) = @_; my $from = time; my $m = $w->get($uri, %o); my $s = time - $from; return wantarray ? ($s, $m) : $s }
# What is limited takes at least its time; how much longer is the machine's affair. What is not would take a minute if it were.
sub between { my ($n, $least, $most, $name) = @_; ok($n >= $least && $n <= $most, "$name: $n s") }

between(scalar took('/plain/a'), 0, 30, 'no limit');
# A second's worth at once, then one each second (the second that has begun counts).
for my $uri (qw(/slow/a /up/a /set/a /accel/a /var/a?rate=20000)) {
    my ($s, $m) = took($uri);
    between($s, 1.4, 60, $uri);
    is(length $m->body, 60000, 'all of it');
}
between(scalar took('/after/a'), 0, 30, 'after');
between(scalar took('/var/a'), 0, 30, 'an empty variable is no limit');
is($w->get('/var/a?rate=30k', method => 'HEAD')->header('X-Rate'), 30720, '$limit_rate by the directive');
is($w->get('/set/a', method => 'HEAD')->header('X-Rate'), 20480, '$limit_rate that was set');
my ($s, $m) = took('/gzip/b.html', headers => ['Accept-Encoding' => 'gzip']);
between($s, 0.9, 60, 'what gzip makes counts');
# A client that leaves in the middle.
my $c = $w->connect;
$c->send("GET /slow/a HTTP/1.1\r\nHost: a\r\n\r\n");
ok(length $c->bytes(1000), 'the first bytes come');
$c->close;
ok($w->wait_access(13), 'a client that left is done with');
for my $bad ('limit_rate x', 'limit_rate_after 1z') {
    my $x = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%%; $bad; } }\n");
    like(($x->t_binary)[1], qr/invalid value/, "$bad is refused");
}
done_testing;
