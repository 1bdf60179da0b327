# conf/examples: canary.conf, ab_test.conf and mirror_sample.conf do what they say.
use lib 't/lib';
use Weir;

sub example {
    my ($name, %at) = @_;
    my $conf = Weir::slurp("$Weir::top/conf/examples/$name.conf");
    $conf =~ s/listen 8080/listen 127.0.0.1:%%PORT_0%%/ or die;
    for my $port (keys %at) { $conf =~ s/127\.0\.0\.1:$port\b/$at{$port}->addr/e or die $port }
    return Weir->new(conf => $conf)->start;
}

my $stable = Weir::Backend->new(sub { 'stable' });
my $canary = Weir::Backend->new(sub { $_[0]->uri =~ /broken/ ? [200, [], 'broken canary'] : 'canary' });
my $w = example('canary', 9001 => $stable, 9002 => $canary);
my $c = $w->connect;
my (%got, %of);
for my $i (1 .. 1000) {
    my $m = $c->get('/', headers => ['User-Agent' => "browser $i"]);
    $of{$i} = $m->body;
    $got{ $m->body }++;
    $got{'named wrongly'}++ if $m->header('X-Release') ne $m->body;
}
is($got{canary} + $got{stable}, 1000, 'one or the other, and named so');
ok($got{canary} >= 30 && $got{canary} <= 75, "about 5 % are canaries ($got{canary} of 1000)");
$c = $w->connect;
is(scalar(grep { $c->get('/', headers => ['User-Agent' => "browser $_"])->body ne $of{$_} } 1 .. 200), 0, 'a client stays where it was');
for (['X-Release' => 'canary', 'canary'], ['X-Release' => 'stable', 'stable'], [Cookie => 'release=canary', 'canary'], [Cookie => 'release=stable', 'stable']) {
    is($c->get('/', headers => [@$_[0, 1]])->body, $_->[2], "$_->[0]: $_->[1]") for $_;
}
is($c->get('/', headers => ['X-Release' => 'stable', Cookie => 'release=canary'])->body, 'stable', 'the header is stronger');
is(scalar(() = join("\n", $w->wait_access(1205, 'logs/access.log')) =~ / 200 canary 127/g) >= $got{canary}, 1, 'the log tells');
$canary->stop;
my @m = map { $c->get('/', headers => ['X-Release' => 'canary']) } 1 .. 30;
is(scalar(grep { $_->status == 200 && $_->body eq 'stable' && $_->header('X-Release') eq 'stable' } @m), 30, 'the canary is dead: the stable version answers');
ok($w->wait_error(qr/the breaker of upstream "canary" opens/), 'and it is left alone') or diag($w->error_log);

my $back = Weir::Backend->new(sub { $_[0]->header('X-Variant') });
$w = example('ab_test', 9000 => $back);
$c = $w->connect;
my %n;
for (1 .. 400) {
    my $m = $c->get('/');
    $n{ $m->body }++;
    $n{wrong}++ if $m->header('Set-Cookie') ne 'variant=' . $m->body . '; Path=/; Max-Age=2592000; SameSite=Lax';
}
is($n{a} + $n{b}, 400, 'a or b, and a cookie that says which');
ok($n{a} > 130 && $n{b} > 130, "half and half ($n{a}, $n{b})");
for my $v (qw(a b)) {
    my @kept = map { $c->get('/', headers => [Cookie => "x=y; variant=$v"]) } 1 .. 10;
    is(scalar(grep { $_->body eq $v && !defined $_->header('Set-Cookie') } @kept), 10, "who has $v keeps it");
}
like($c->get('/', headers => [Cookie => 'variant=z'])->header('Set-Cookie'), qr/^variant=[ab];/, 'a cookie of another kind is set anew');

my $main = Weir::Backend->new(sub { 'main ' . length $_[0]->body });
my $copy = Weir::Backend->new(sub { return [200, [], 'copy ' . ($_[0]->header('X-Mirrored') // '-')] });
$w = example('mirror_sample', 9000 => $main, 9001 => $copy);
$c = $w->connect;
my $right = 0;
for (1 .. 300) { $c->request('POST', "/p?$_", body => 'b' x $_); $right++ if $c->response->body eq "main $_" }
is($right, 300, 'every client has its own answer');
ok(wait_for(sub { $copy->requests >= 10 }, 5), 'some are copied');
my $copied = $copy->requests;
ok($copied >= 10 && $copied <= 65, "about one of ten ($copied of 300)");
like((grep { $_->[0] eq 'req' } $copy->log)[0][4], qr{^/p\?\d+$}, 'with its own uri');
is($w->get('/sample')->status, 404, 'nobody asks for the copy directly');
done_testing;
