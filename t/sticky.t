# sticky: a session stays with its server, over four workers and reloads; draining servers keep theirs, those that are down do not.
use lib 't/lib';
use Weir;
use Digest::MD5 qw(md5_hex);

my @b = map { my $n = $_; Weir::Backend->new(sub {
    my ($req) = @_;
    return [200, ['Set-Cookie' => "session=" . ($req->uri =~ /begin=(\w+)/)[0]], $n] if $req->uri =~ /begin=/;
    return [503, [], $n] if $req->uri =~ /bad/;
    return [200, ['X-Accel-Redirect' => '/inside'], ''] if $req->uri =~ /accel/;
    return $n;
}) } 0 .. 3;
my %md5 = map { md5_hex($b[$_]->addr) => $_ } 0 .. 3;
my @p = map { 'server ' . $_->addr } @b;
my $conf = <<"EOC";
worker_processes 4;
events { }
http {
    upstream c { $p[0]; $p[1]; $p[2]%%HOW%%; $p[3]; sticky cookie srv_id expires=1h domain=.example.com path=/ httponly secure samesite=lax; }
    upstream gone { $p[0]; $p[1]; $p[2]; sticky cookie srv_id; }
    upstream plain { least_conn; $p[0]; $p[1]; sticky cookie id; }
    upstream far { $p[0]; $p[1]; sticky cookie id expires=max domain=\$arg_d samesite=\$arg_s; }
    upstream named { hash \$arg_k; $p[0] route=a; $p[1] route=b.%%ONE%%; $p[2]; sticky cookie id; }
    upstream r { $p[0] route=a; $p[1] route=b; $p[2]%%HOW%% route=c; $p[3] backup route=d; sticky route \$cookie_r \$arg_r; }
    upstream l { $p[0]; $p[1]; $p[2]%%HOW%%; $p[3]; sticky learn create=\$upstream_cookie_session lookup=\$arg_s lookup=\$cookie_session zone=l:1m; }
    upstream h { $p[0]; $p[1]; $p[2]; sticky learn create=\$upstream_cookie_session lookup=\$cookie_session zone=h:64k timeout=700ms header; }
    upstream alone { $p[2]%%HOW%%; sticky route \$arg_r; }
    upstream none { $p[0]; $p[1]; $p[2]%%HOW%%; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location ~ ^/(?<g>\\w+)\$ { proxy_next_upstream error http_503; proxy_pass http://\$g; }
        location /inside { return 200 inside; }
    }
}
EOC
my %vars = (HOW => '', ONE => '1');
my $w = Weir->new(conf => $conf, vars => \%vars)->start;
sub ask { my ($uri, $cookie) = @_; return $w->get($uri, headers => $cookie ? [Cookie => $cookie] : []) }
sub body { my $m = ask(@_); return $m ? $m->body : 'none' }
sub many { my ($n, @how) = @_; my %at; $at{ body(@how) }++ for 1 .. $n; return join ' ', map { "$_:$at{$_}" } sort keys %at }
sub reconf { %vars = (%vars, @_); (my $text = $conf) =~ s/%%(HOW|ONE)%%/$vars{$1}/g; $w->write_conf($text); ok($w->reload, 'reloaded') }

# cookie
my $m = ask('/c');
my ($id) = ($m->header('Set-Cookie') // '') =~ /^srv_id=([0-9a-f]{32}); expires=\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT; max-age=3600; domain=\.example\.com; path=\/; samesite=lax; secure; httponly$/;
ok(defined $id, 'the cookie, with all of its attributes') or diag $m->header('Set-Cookie');
is($md5{$id}, $m->body, 'it is the MD5 of the address of the server that answered');
for my $k (sort keys %md5) {
    is(many(12, '/c', "a=b; srv_id=$k; c=d"), "$md5{$k}:12", "session of server $md5{$k} stays there");
}
is(ask('/c', "srv_id=$id")->header('Set-Cookie'), undef, 'who has the cookie does not get it again');
like(ask('/c', 'srv_id=nonsense')->header('Set-Cookie'), qr/^srv_id=[0-9a-f]{32};/, 'a cookie of nobody is replaced');
like(ask('/c?accel')->header('Set-Cookie') // '', qr/^srv_id=/, 'after X-Accel-Redirect too');
like(ask('/plain')->header('Set-Cookie'), qr/^id=[0-9a-f]{32}$/, 'without attributes');
like(ask('/far?d=.b.c&s=Strict')->header('Set-Cookie'), qr/; expires=Thu, 31 Dec 2037 23:55:55 GMT; max-age=315360000; domain=\.b\.c; samesite=Strict$/, 'attributes by variables');
like(ask('/far?d=a;x&s=some')->header('Set-Cookie'), qr/max-age=315360000$/, 'attributes that are none are left out');
my %got = map { my $m = ask("/named?k=$_"); ($m->body => ($m->header('Set-Cookie') =~ /^id=(.*)/)[0]) } 1 .. 30;
is_deeply(\%got, { 0 => 'a', 1 => 'b.1', 2 => md5_hex($b[2]->addr) }, 'a route is the value; else the MD5');
is(many(8, '/named?k=1', 'id=b.1'), '1:8', 'and leads there, whatever the hash says');
is(join(' ', sort { $a cmp $b } map { (split /:/)[0] } split ' ', many(12, '/none')), '0 1 2', 'a group without it goes round');

# a server that fails: another one, and the cookie of that
my ($two) = grep { $md5{$_} == 2 } keys %md5;
$b[2]->stop;
$m = ask('/gone', "srv_id=$two");
isnt($m->body, 2, 'another server answers for one that is gone');
isnt($md5{ ($m->header('Set-Cookie') =~ /srv_id=(\w+)/)[0] }, 2, 'and binds the session to itself');
$b[2]->start;

# route
is(many(10, '/r', 'r=b'), '1:10', 'route by the first variable');
is(many(10, '/r?r=c'), '2:10', 'by the second where the first is empty');
is(many(10, '/r?r=c', 'r=a'), '0:10', 'the first counts');
is(many(5, '/r?r=d'), '3:5', 'a backup server keeps its sessions');
like(many(12, '/r?r=zzz'), qr/^0:\d+ 1:\d+ 2:\d+$/, 'an unknown route: by turns');

# learn
my %home;
for my $s (map { "s$_" } 1 .. 8) { $home{$s} = body("/l?begin=$s") }
is(scalar(keys %{ { reverse %home } }), 4, 'eight sessions over four servers');
is_deeply({ map { $_ => many(6, '/l', "session=$_") } keys %home }, { map { $_ => "$home{$_}:6" } keys %home }, 'each stays where it began');
is(many(6, '/l?s=s3', 'session=s1'), "$home{s3}:6", 'the first lookup counts');
like(many(16, '/l', 'session=other'), qr/^0:\d+ 1:\d+ 2:\d+ 3:\d+$/, 'an unknown session goes by turns');
my $h = body('/h?begin=x');
is(many(8, '/h', 'session=x'), "$h:8", 'learned by the header');
select undef, undef, undef, 0.9;
like(many(12, '/h', 'session=x'), qr/^0:\d+ 1:\d+ 2:\d+$/, 'and forgotten after its timeout');
body("/h?begin=many$_") for 1 .. 1200;
$h = body('/h?begin=new');
is(many(4, '/h', 'session=new'), "$h:4", 'a full zone takes new sessions: the oldest go');
unlike($w->error_log, qr/\[(alert|crit)\]/, 'without complaint');

# draining and down, over reloads
my ($s2) = grep { $home{$_} == 2 } sort keys %home;
reconf(HOW => ' drain');
is(many(9, '/c', "srv_id=$two"), '2:9', 'draining: sessions by cookie stay');
is(many(9, '/r?r=c'), '2:9', '… by route');
is(many(9, '/l', "session=$s2"), '2:9', '… learned, before the reload');
unlike(many(12, '/c') . many(12, '/r') . many(12, '/l') . many(12, '/none'), qr/2:/, 'nobody else is sent there');
is(ask('/alone?r=x')->status, 502, 'the only one, draining: not for strangers');
reconf(HOW => ' down');
unlike(many(9, '/c', "srv_id=$two") . many(9, '/r?r=c') . many(9, '/l', "session=$s2"), qr/2:|none/, 'down: sessions go elsewhere');
reconf(HOW => ' max_conns=1');
is(many(5, '/c', "srv_id=$two"), '2:5', 'and come back');

# what is wrong
sub refused {
    my ($inner, $words) = @_;
    my $x = Weir->new(conf => "events { }\nhttp { upstream u { server 127.0.0.1:1; $inner } server { listen 127.0.0.1:%%PORT_0%%; } }\n");
    my ($code, $out) = $x->t_binary('-t');
    $x->expect_log(qr/\[emerg\]/, 'it is refused');
    isnt($code, 0, "refused: $inner");
    like($out, $words, 'with these words');
}
refused('sticky cookie;', qr/invalid number of arguments in "sticky"/);
refused('sticky hash x;', qr/invalid parameter "hash"/);
refused('sticky cookie a=b;', qr/invalid parameter "a=b"/);
refused('sticky cookie a expires=x;', qr/invalid parameter "expires=x"/);
refused('sticky cookie a samesite=x;', qr/invalid parameter "samesite=x"/);
refused('sticky cookie a; sticky route $arg_a;', qr/"sticky" directive is duplicate/);
refused('sticky route a;', qr/invalid parameter "a"/);
refused('sticky route $nobody_knows;', qr/unknown "nobody_knows" variable/);
refused('sticky learn create=$arg_a zone=z:1m;', qr/needs "create", "lookup" and "zone"/);
refused('sticky learn create=$arg_a lookup=$arg_a zone=z:1m sync;', qr/invalid parameter "sync"/);
refused('sticky learn create=$arg_a lookup=$arg_a zone=z:1k;', qr/zone "z" is too small/);
refused('server 127.0.0.1:2 route=;', qr/invalid parameter "route="/);
refused('server 127.0.0.1:2 route=' . 'x' x 33 . ';', qr/invalid parameter "route=/);
done_testing;
