# Active health checks: by the manager, for all workers.
use lib 't/lib';
use Weir;
use Weir::Pem;

# A backend that answers what its file says: a status, "hang", or text; every request to it is noted with its head.
my %file;
sub backend {
    my ($name, %o) = @_;
    my $file = $file{$name} = Weir::scratch() . "/is-$name";
    say_of($name, 200);
    return Weir::Backend->new(sub {
        my ($req) = @_;
        my $is = Weir::slurp($file);
        if ($req->uri ne '/') {
            open my $out, '>>', "$file.asked";
            print $out $req->uri, ' ', join('|', map { ($_, $req->header($_) // '-') } qw(Host User-Agent Connection X-A)), "\n";
            sleep 30 if $is eq 'hang';
            return [$is, ['X-State' => 'fine'], "I am well\n"] if $is =~ /^\d+$/;
            return [200, ['X-State' => 'odd'], $is];
        }
        return $name;
    }, %o);
}
sub say_of { my ($name, $what) = @_; open my $out, '>', "$file{$name}.new"; print $out $what; close $out; rename "$file{$name}.new", $file{$name} }
sub asked { my $name = shift; return split /\n/, Weir::slurp("$file{$name}.asked") }

my %b = map { ($_ => backend($_)) } qw(a b c d m body);
my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca');
$pem->issue('leaf', by => 'ca', names => ['tls.test']);
my $tls = backend('tls', ssl => { SSL_cert_file => $pem->file('leaf.pem'), SSL_key_file => $pem->file('leaf.key') });
my %vars = map { (uc($_) => $b{$_}->addr) } keys %b;
my $conf = <<'EOC';
worker_processes 4;
events { }
http {
    match fine { status ! 500-599 404; header X-State = fine; header ! X-None; header X-State !~ odd; body ~ "well"; body !~ "ill"; }
    upstream two { server %%A%% max_fails=0; server %%B%% max_fails=0; }
    upstream first { server %%C%%; server %%D%%; }
    upstream must { server %%M%%; }
    upstream text { server %%BODY%%; }
    upstream safe { server %%TLS%%; }
    proxy_set_header X-A "$host/$remote_addr/$server_name";
    proxy_set_header Connection "";
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name www.test;
        location /two { proxy_pass http://two/; health_check interval=200ms uri=/check; }
        location /first { proxy_pass http://first/; health_check interval=200ms jitter=50ms fails=3 passes=2 uri=/first keepalive_time=1h; }
        location /must { proxy_pass http://must/; health_check interval=200ms uri=/must mandatory persistent; }
        location /text { proxy_pass http://text/; health_check interval=200ms match=fine uri=/text; }
        location /safe { proxy_pass https://safe/; proxy_ssl_verify on; proxy_ssl_name tls.test; proxy_ssl_server_name on; proxy_ssl_trusted_certificate %%CA%%;
            health_check interval=200ms uri=/safe; }
    }
}
EOC
say_of('m', 'hang');
my $w = Weir->new(conf => $conf, vars => { %vars, TLS => $tls->addr, CA => $pem->file('ca.pem') })->start;
# The last word on this peer.
sub now_said { my ($peer) = @_; my @said = $w->error_log =~ /peer \Q$peer\E of upstream "\w+" was \w+, is ([^\n]*)/g; return $said[-1] // '' }
sub now_is { my ($peer, $is) = @_; return wait_for(sub { now_said($peer) =~ /^$is/ }, 10) }
sub served { my ($uri, $n) = @_; my %by; $by{ $w->get($uri)->body }++ for 1 .. $n // 16; return join ' ', sort keys %by }

# mandatory: no request before the first check passed, in any worker
is_deeply([map { $w->get('/must')->status } 1 .. 8], [(502) x 8], 'a peer that must be checked first is not asked before');
ok(!grep({ $_->[0] eq 'req' && $_->[4] eq '/' } $b{m}->log), 'it saw no request of a client');

ok(wait_for(sub { asked('a') && asked('b') }), 'both peers are checked');
like((asked('a'))[0], qr{^/check Host\|two\|User-Agent\|weir \(health check\)\|Connection\|close\|X-A\|www\.test//www\.test$}, 'what a check asks: as the location would, variables of a request are empty');
is(served('/two'), 'a b', 'both serve');
say_of('a', 500);
ok(now_is($b{a}->addr, 'unhealthy: status 500'), 'a bad status: the reason in the log');
is(served('/two'), 'b', 'no worker asks it any more');
my $at = $b{a}->addr;
my $before = () = $w->error_log =~ /\Q$at\E of upstream "two" was/g;
my $asked = asked('a');
ok(wait_for(sub { asked('a') >= $asked + 3 }), 'it is still checked');
is(scalar(() = $w->error_log =~ /\Q$at\E of upstream "two" was/g), $before, 'one line for one change');
say_of('a', 200);
ok(now_is($b{a}->addr, 'up: health check passed'), 'it is well again');
is(served('/two'), 'a b', 'and serves');

# a peer that dies
$b{b}->stop;
my %got;
wait_for(sub { $got{ $w->get('/two')->status }++ for 1 .. 4; now_said($b{b}->addr) =~ /^unhealthy/ });
is(join(' ', sort keys %got), '200', 'killed under load: no client sees it');
my ($until) = $w->error_log =~ /^(.*)peer \Q@{[ $b{b}->addr ]}\E of upstream "two" was \w+, is unhealthy/s;
is(scalar(() = $until =~ /health check of peer \Q@{[ $b{b}->addr ]}\E of upstream "two" failed/g), 1, 'out of rotation by the first check after it, so within one interval');
like(now_said($b{b}->addr), qr/^unhealthy: (connect\(\) failed \(111: Connection refused\)|recv\(\) failed \(104|.*closed)/, 'the reason: nobody listens, or the check in hand ended with it');
is(served('/two'), 'a', 'the other one serves');
$b{b}->start;
ok(now_is($b{b}->addr, 'up'), 'back again');

# fails, passes, keep-alive
ok(wait_for(sub { asked('c') > 2 }), 'checks over a kept connection');
is(scalar(grep { $_->[0] eq 'conn' } $b{c}->log), 1, 'one connection for all');
say_of('c', 503);
ok(now_is($b{c}->addr, 'unhealthy: status 503'), 'fails=3');
$at = $b{c}->addr;
cmp_ok(scalar(() = $w->error_log =~ /health check of peer \Q$at\E of upstream "first" failed/g), '>=', 3, 'after three');
is(served('/first'), 'd', 'the other one');

# match
ok(wait_for(sub { asked('body') > 1 }), 'checked');
is($w->get('/text')->body, 'body', 'an answer that matches');
say_of('body', 'I am well, not ill');
ok(now_is($b{body}->addr, 'unhealthy: header "X-State" does not match "fine"'), 'one that does not');
is($w->get('/text')->status, 502, 'nobody is left');
say_of('body', 206);
ok(now_is($b{body}->addr, 'up'), 'it matches again');

# TLS
ok(wait_for(sub { asked('tls') > 1 }), 'checked over TLS, verified');
like((asked('tls'))[0], qr{^/safe Host\|safe\|}, 'by its own name');
is($w->get('/safe', timeout => 100)->body, 'tls', 'and it serves');
$at = $tls->addr;
unlike($w->error_log, qr/\Q$at\E of upstream "safe" was/, 'it was well all the time');

# what is known outlives the manager, and a reload
my ($manager) = grep { Weir::title($_) =~ /manager/ } Weir::children($w->pid);
$w->signal('KILL', $manager);
ok(wait_for(sub { grep { $_ != $manager && Weir::title($_) =~ /manager process$/ } Weir::children($w->pid) }), 'another manager');
is(served('/first'), 'd', 'what it knew is known');
$asked = asked('c');
ok(wait_for(sub { asked('c') > $asked }), 'it checks on');
$w->expect_log(qr/manager process \d+ exited on signal 9/);
$w->reload;
is(served('/first'), 'd', 'also after a reload');
say_of('c', 200);
ok(now_is($b{c}->addr, 'up'), 'passes=2: back again');
is(served('/first'), 'c d', 'both serve');

# mandatory: passes at last; persistent: a reload does not ask for another
$b{m}->stop;
say_of('m', 200);
$b{m}->start;
ok(now_is($b{m}->addr, 'up'), 'the peer that must be checked is well');
is($w->get('/must')->body, 'm', 'and asked');
$w->reload;
is_deeply([map { $w->get('/must')->status } 1 .. 8], [(200) x 8], 'persistent: after a reload as well');

# not checked any more
say_of('a', 500);
ok(now_is($b{a}->addr, 'unhealthy'), 'taken out');
(my $without = $conf) =~ s/health_check interval=200ms uri=\/check;//;
$w->write_conf($without);
$w->reload;
ok(now_is($b{a}->addr, 'up: it is not checked any more'), 'no check, no verdict');
is(served('/two'), 'a b', 'both serve');
$w->stop;

# words that are refused
for (
    ['health_check;', qr/"health_check" stands in a location that passes requests to no group/],
    ['proxy_pass http://127.0.0.1:1; health_check type=grpc;', qr/type=grpc" need HTTP\/2/],
    ['proxy_pass http://127.0.0.1:1; health_check match=none;', qr/match "none" is not defined/],
    ['proxy_pass http://$host; health_check;', qr/needs a group that is known/],
    ['proxy_pass http://127.0.0.1:1; health_check interval=0;', qr/invalid parameter "interval=0"/],
    ['proxy_pass http://127.0.0.1:1; health_check persistent;', qr/"persistent" is a parameter of "mandatory"/],
    ['proxy_pass http://127.0.0.1:1; health_check; health_check;', qr/"health_check" directive is duplicate/],
    ['} } match x { status 99; } server { location / {', qr/invalid status code "99"/],
    ['} } match x { header A ? b; } server { location / {', qr/invalid parameter "\?"/],
    ['} } match x { body ~ "("; } server { location / {', qr/missing closing parenthesis|pcre2_compile/],
    ['} } match x { require $a; } server { location / {', qr/it has status, header and body/],
    ['} } match x { } match x { } server { location / {', qr/duplicate match "x"/],
) {
    my ($line, $why) = @$_;
    my ($code, $out) = Weir->new(conf => "events { } http { server { location / { $line } } }")->t_binary('-t');
    ok($code != 0 && $out =~ $why, "refused: $line") or diag $out;
}
done_testing;
