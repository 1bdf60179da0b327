# Workers killed one after the other under load: limits never let more through, count exactly right afterwards, who may not enter never does,
# and nobody waits for the dead.
use lib 't/lib';
use Weir;
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(time);

my ($rate, $burst, $kills) = (20, 20, 12);      # a second in which nobody asks would let the bucket run empty
my $gate = Weir::Backend->new(sub { return [($_[0]->header('X-Key') // '') eq 'good' ? 204 : 403, [], ''] });
my $w = Weir->new(conf => <<'EOC', files => { 'html/a' => 'let in', users => "bob:{PLAIN}secret\n" }, vars => { GATE => $gate->addr, RATE => $rate, BURST => $burst })->start;
worker_processes 4;
events { }
http {
    limit_req_zone $server_name zone=all:64k rate=%%RATE%%r/s;
    limit_conn_zone $server_name zone=conns:64k;
    log_format passed '$msec $limit_req_status $pid';
    keepalive_requests 1000000;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name one;
        location /limited/ { limit_req zone=all burst=%%BURST%% nodelay; limit_conn conns 1000; limit_req_log_level info; access_log %%TESTDIR%%/passed.log passed; alias %%TESTDIR%%/html/; }
        location /basic/ { auth_basic a; auth_basic_user_file users; alias %%TESTDIR%%/html/; }
        location /asked/ { auth_request /gate; alias %%TESTDIR%%/html/; }
        location = /gate { internal; proxy_pass http://%%GATE%%; }
        location = /alone { limit_conn conns 1; return 200; }
    }
}
EOC
sub as { return ('Authorization' => 'Basic ' . encode_base64("$_[0]:$_[1]", '')) }
my @kinds = (['/limited/a', [], qr/^(200|503)$/], ['/basic/a', [as('bob', 'secret')], qr/^200$/], ['/basic/a', [as('bob', 'wrong')], qr/^401$/], ['/asked/a', ['X-Key' => 'good'], qr/^200$/], ['/asked/a', ['X-Key' => 'bad'], qr/^403$/]);

# Each client asks until a file says that it is over, and writes: answers, wrong ones, connections that ended, requests that hung, of the limited
# those that passed.
my $over = "$w->{dir}/over";
sub client {
    my $which = shift;
    my ($uri, $headers, $right) = @{ $kinds[$which] };
    my ($answers, $wrong, $ended, $hung, $passed) = (0) x 5;
    my $c;
    until (-e $over) {
        $c //= eval { $w->connect } or next;
        my $m = eval { $c->get($uri, headers => $headers) };
        if (!$m || !$m->complete) {
            if ($c->{eof} || $@ || $m) { $ended++ } else { $hung++ }
            undef $c;
            next;
        }
        $answers++;
        $wrong++ if $m->status !~ $right;
        $passed++ if $m->status == 200;
        undef $c if ($m->header('Connection') // '') eq 'close';
    }
    open my $out, '>', "$w->{dir}/client-$$" or die;
    print $out join ' ', $which, $answers, $wrong, $ended, $hung, $passed;
    close $out;
    Weir::leave();
}
$w->expect_log(qr/exited on signal 9/);
my $from = time;
my @clients = map { my $which = $_ < 5 ? $_ : 0; my $pid = fork // die; client($which) if !$pid; $pid } 0 .. 7;
my $replaced = 0;
for (1 .. $kills) {
    my $lines = $w->access_log('passed.log') =~ tr/\n//;
    wait_for(sub { ($w->access_log('passed.log') =~ tr/\n//) > $lines + 50 }) or last;      # it serves
    my @old = $w->workers;
    my $one = $old[rand @old];
    kill KILL => $one;
    $replaced++ if wait_for(sub { my @now = $w->workers; @now == 4 && !grep { $_ == $one } @now });
}
is($replaced, $kills, "$kills workers were killed and replaced under load");
my $quiet = time;
sub log_lines { return sort { $a->[0] <=> $b->[0] } map { [split] } split /\n/, $w->access_log('passed.log') }
wait_for(sub { my @l = grep { $_->[0] > $quiet + 0.1 && $_->[1] eq 'PASSED' } log_lines(); @l > $rate * 1.5 }, 20);
open my $touch, '>', $over; close $touch;
waitpid $_, 0 for @clients;
my $took = time - $from;
my @sum = ([(0) x 6], [(0) x 6], [(0) x 6], [(0) x 6], [(0) x 6]);
for my $pid (@clients) { my ($which, @n) = split ' ', Weir::slurp("$w->{dir}/client-$pid"); $sum[$which][$_] += $n[$_] for 0 .. $#n }
for my $i (0 .. $#kinds) {
    my ($answers, $wrong, $ended, $hung) = @{ $sum[$i] };
    ok($answers > 10 && !$wrong && !$hung, "$kinds[$i][0] $kinds[$i][2]: $answers answers, $wrong wrong, $hung hung, $ended connections ended");
}
my $passed = $sum[0][4];
cmp_ok($passed, '<=', 1 + $burst + $rate * $took, "never more than the rate allows: $passed");
cmp_ok($passed, '>=', 0.5 * $rate * $took, 'nor far less');

# From a tenth of a second after the last one: the bucket is full, so that what passes is the rate.
# Where a crowded machine lets it run empty meanwhile it is full again when a request is refused.
my @after = grep { $_->[0] > $quiet + 0.1 } log_lines();
my @full = grep { $after[$_][1] ne 'PASSED' } 0 .. $#after;
@after = @after[$full[0] .. $full[-1]];
my @let = grep { $_->[1] eq 'PASSED' } @after;
my $want = 1 + $rate * ($let[-1][0] - $let[0][0]);
ok(abs(@let - $want) <= 1 + $rate / 500, sprintf 'exact right afterwards: %d of %d passed, %.2f allowed', scalar @let, scalar @after, $want);
ok(wait_for(sub { $w->get('/alone')->status == 200 }), 'and no place of limit_conn stays taken');
done_testing;
