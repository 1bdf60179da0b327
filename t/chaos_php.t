# A real PHP behind weir that hangs, ends in the middle, is killed, stopped and started: a client sees a right answer or one clear
# error, and afterwards nothing is left.
use lib 't/lib';
use Weir;

my ($fpm) = grep { -x } glob '/usr/sbin/php-fpm*';
plan(skip_all => 'no php-fpm here') unless $fpm;
my $dir = Weir::scratch() . '/php';
mkdir $dir;
my $long = join '', map { "line $_ of the answer\n" } 0 .. 9999;
my %scripts = (
    good   => 'echo "good";',
    body   => 'echo strlen(file_get_contents("php://input"));',
    long   => 'for ($i = 0; $i < 10000; $i++) echo "line $i of the answer\n";',
    hang   => 'sleep(600);',
    slow   => 'echo str_repeat("a", 4), "\n"; while (ob_get_level()) ob_end_flush(); flush(); usleep(300000); echo "b\n";',
    exits  => 'exit(3);',
    fatal  => 'nowhere();',
    killed => 'exec("kill -9 " . getmypid());',
    cut    => 'echo str_repeat("c", 100000); while (ob_get_level()) ob_end_flush(); flush(); usleep(50000); exec("kill -9 " . getmypid());',
    stop   => 'header("Status: 503 Later"); echo "later";',
    large  => 'header("X-Large: " . str_repeat("l", 20000)); echo "large";',
    length => 'header("Content-Length: 5"); echo "hello and more";',
    short  => 'header("Content-Length: 50"); echo "hello";',
);
for (keys %scripts) { open my $out, '>', "$dir/$_.php" or die; print $out "<?php $scripts{$_}" }
chmod 0755, $dir;
my %pid;
sub run {       # a php-fpm called so; it is up when its socket answers
    my ($name) = @_;
    my $user = $> == 0 ? "user = nobody\ngroup = nogroup\nlisten.mode = 0666\n" : '';
    open my $out, '>', "$dir/$name.conf" or die;
    print $out "[global]\nerror_log = $dir/$name.log\ndaemonize = no\n[www]\n${user}listen = $dir/$name.sock\npm = static\npm.max_children = 3\nphp_admin_flag[display_errors] = off\n";
    close $out;
    unlink "$dir/$name.sock";
    my $pid = fork // die;
    if (!$pid) { setpgrp; open STDOUT, '>', '/dev/null'; open STDERR, '>&', \*STDOUT; exec { $fpm } $fpm, '-n', '-y', "$dir/$name.conf" or Weir::leave(127) }
    $pid{$name} = $pid;
    wait_for(sub { IO::Socket::UNIX->new(Type => Socket::SOCK_STREAM, Peer => "$dir/$name.sock") }, 20) or die "no php-fpm $name\n";
}
sub finish { my ($name) = @_; my $pid = delete $pid{$name}; kill KILL => -$pid; waitpid $pid, 0 }
END { if (%pid) { my $status = $?; finish($_) for keys %pid; $? = $status } }
run($_) for 'a', 'b';

my $w = Weir->new(vars => { D => $dir }, conf => <<'EOC')->start;
worker_processes 2;
events { }
http {
    log_format l "$uri $status $upstream_addr $upstream_status";
    access_log access.log l;
    upstream one { server unix:%%D%%/a.sock max_fails=0; keepalive 4; keepalive_timeout 200ms; }
    upstream two { server unix:%%D%%/a.sock max_fails=0; server unix:%%D%%/b.sock max_fails=0; keepalive 8; keepalive_timeout 200ms; }
    fastcgi_param SCRIPT_FILENAME %%D%%/$script.php; fastcgi_param REQUEST_METHOD $request_method; fastcgi_param CONTENT_LENGTH $content_length; fastcgi_param CONTENT_TYPE $content_type;
    fastcgi_param REDIRECT_STATUS 200;
    fastcgi_read_timeout 20s; fastcgi_next_upstream error timeout invalid_header http_503;
    map $uri $script { ~/(\w+)$ $1; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        client_max_body_size 0;
        location /one/ { fastcgi_pass one; }
        location /kept/ { fastcgi_keep_conn on; fastcgi_pass one; }
        location /held/ { fastcgi_buffering off; fastcgi_pass one; }
        location /hang/ { fastcgi_read_timeout 300ms; fastcgi_pass one; }
        location /two/ { fastcgi_keep_conn on; fastcgi_pass two; }
        location /plain/ { fastcgi_pass two; }
    }
}
EOC
$w->wait_workers(2);
my @workers = sort { $a <=> $b } $w->workers;
sub fds { return join ' ', map { my @f = glob "/proc/$_/fd/*"; scalar @f } @workers }
sub memory { my $kb = 0; for (@workers) { Weir::slurp("/proc/$_/smaps_rollup") =~ /^Pss_Anon:\s+(\d+)/m and $kb += $1 } return $kb }
sub saw {       # what became of it, in a word
    my $m = shift;
    return !$m ? 'nothing' : $m->error ? 'garbled' : !$m->complete ? 'cut' : $m->status != 200 ? $m->status : $m->body eq $long ? 'long' : $m->body =~ /^c+$/ ? 'whole' : $m->body;
}
my $before = fds();
wait_for(sub { my $was = $before; select undef, undef, undef, 0.2; ($before = fds()) eq $was });
is(saw($w->get("/$_/good")), 'good', "$_: well") for qw(one kept held hang two plain);

# ---- one thing after the other
my @ways = ([good => 'good'], [long => 'long'], [slow => "aaaa\nb\n"], [exits => ''], [fatal => '500'], [killed => '502'], [cut => 'cut'], [stop => '503'], [large => '502'],
    [length => 'hello'], [short => 'cut'], [none => '404']);
sub each_way {
    for my $where (qw(one kept held)) {
        for my $way (@ways) {
            is(saw($w->get("/$where/$way->[0]", timeout => 30)), $way->[1], "/$where/$way->[0]: " . ($way->[1] =~ s/\n/ /gr));
            is(saw($w->get("/$where/good", timeout => 30)), 'good', '… and the next one is served');
        }
    }
}
each_way();
is(saw($w->get('/hang/hang')), '504', 'a script that hangs');
my $c = $w->connect(timeout => 30);
$c->send("POST /one/body HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n" . 'b' x 3_000_000);
is(saw($c->response), '3000000', 'a long body');
$c->close;
is(saw($w->get('/one/exits')), '', 'a script that says nothing but headers');
$w->get('/two/stop', timeout => 30);
ok(wait_for(sub { $w->access_log =~ m{^/two/stop 503 unix:\S+/([ab])\.sock, unix:\S+/(?!\1)[ab]\.sock }m }), 'the next PHP is asked');

# ---- killed, stopped and started, while clients ask
my $over = "$dir/over";
sub answers { my ($n) = @_; my $log = "$w->{dir}/access.log"; my $from = -s $log; wait_for(sub { (-s $log) - $from > $n * 40 }, 30) or diag("less than $n answers in 30 s") }
sub clients {
    my ($where, $meanwhile) = @_;
    unlink $over;
    my @pipes = map {
        my $pid = open(my $from, '-|') // die;
        if (!$pid) {
            alarm 300;
            my $conn;
            until (-e $over) {
                $conn = $w->connect(timeout => 30) if !$conn || $conn->at_end;
                my $m = $conn->get("/$where/" . ('good', 'long')[rand 2]);
                print saw($m), "\n";
                undef $conn if !$m || !$m->complete || ($m->header('Connection') // '') eq 'close';
            }
            STDOUT->flush;
            Weir::leave();
        }
        $from;
    } 1 .. 4;
    answers(20);
    $meanwhile->();
    answers(20);
    open my $io, '>', $over or die;
    my %seen;
    for my $from (@pipes) { while (<$from>) { chomp; $seen{$_}++ } close $from }
    return \%seen;
}
sub unexpected { my ($seen, $more) = @_; return join ' ', grep { !/^(good|long|cut$more)$/ } sort keys %$seen }
for my $where ('two', 'plain') {
    my $seen = clients($where, sub { finish('a'); answers(20); run('a') });
    is(unexpected($seen, ''), '', "/$where: one PHP is killed and started again: nobody sees an error") or diag explain $seen;
    ok(($seen->{cut} // 0) <= 4, "/$where: at most what it was answering is cut short") or diag explain $seen;
    $seen = clients($where, sub { kill STOP => -$pid{b}; answers(2); kill CONT => -$pid{b} });
    is(unexpected($seen, ''), '', "/$where: one hangs for a while: nobody sees an error") or diag explain $seen;
    $seen = clients($where, sub { finish($_) for 'a', 'b'; answers(10); run($_) for 'a', 'b' });
    is(unexpected($seen, '|502'), '', "/$where: both are away: 502, not a worse thing") or diag explain $seen;
    ok($seen->{502}, "/$where: which was seen");
    ok(wait_for(sub { saw($w->get("/$where/long", timeout => 30)) eq 'long' }), "/$where: and then all is well");
}

# ---- nothing is left
ok(wait_for(\&{ sub { fds() eq $before } }, 10), 'descriptors as in the beginning') or diag(fds() . " were $before");
my $kb = memory();
each_way() for 1 .. 2;
ok(wait_for(sub { fds() eq $before }, 10), 'after another time as well') or diag(fds() . " were $before");
ok($w->sanitized || wait_for(sub { memory() < $kb + 2048 }), 'and memory stays') or diag(memory() . " were $kb kB");
is(join(' ', sort { $a <=> $b } $w->workers), "@workers", 'no worker died');
done_testing;
