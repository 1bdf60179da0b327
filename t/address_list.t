# Lists of addresses in files: allow and deny list=, address_list; a change takes effect in all workers without a reload, a broken file changes nothing.
use lib 't/lib';
use Weir;

my $w = Weir->new(conf => <<'EOC', files => { 'blocked.txt' => "# nobody wants these\n192.0.2.0/24\n2001:db8::/32 ; documentation\n", 'office.txt' => "198.51.100.7-198.51.100.9\n", 'html/a.html' => "page\n" })->start;
worker_processes 4;
events { }
http {
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Real-IP;
    address_list $blocked blocked.txt;
    address_list $arg_ip $asked %%TESTDIR%%/blocked.txt;
    map $blocked $limited { 1 $binary_remote_addr; default ""; }
    limit_req_zone $limited zone=slow:64k rate=1r/d;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location /deny/ { deny list=blocked.txt; alias %%TESTDIR%%/html/; }
        location /allow/ { allow list=office.txt; deny all; alias %%TESTDIR%%/html/; }
        location /except/ { allow 192.0.2.8; deny list=blocked.txt; allow all; alias %%TESTDIR%%/html/; }
        location /say { return 200 "$blocked $asked $pid"; }
        location /limit/ { limit_req zone=slow; alias %%TESTDIR%%/html/; }
        location /if { if ($blocked) { return 429; } return 200 ok; }
    }
}
EOC
sub get { my ($uri, $ip) = @_; return $w->get($uri, headers => ['X-Real-IP' => $ip]) }
sub state { my ($uri, $ip) = @_; return get($uri, $ip)->status }
is(state('/deny/a.html', $_), 403, "$_ is refused") for '192.0.2.1', '2001:db8::9', '::ffff:192.0.2.77';
is(state('/deny/a.html', $_), 200, "$_ is not") for '192.0.3.1', '2001:db9::', '127.0.0.1';
is(state('/allow/a.html', $_), 200, "$_ may come in") for '198.51.100.7', '198.51.100.8', '198.51.100.9';
is(state('/allow/a.html', $_), 403, "$_ may not") for '198.51.100.6', '198.51.100.10', '::1';
is(state('/except/a.html', $_->[0]), $_->[1], "rules in their order: $_->[0]") for ['192.0.2.8', 200], ['192.0.2.9', 403], ['9.9.9.9', 200];
like(get('/say', $_->[0])->body, qr/^$_->[1] 0 /, "a variable: $_->[0]") for ['192.0.2.8', 1], ['9.9.9.9', 0];
like($w->get("/say?ip=$_->[0]")->body, qr/^0 $_->[1] /, "of another address: $_->[0]") for ['192.0.2.8', 1], ['9.9.9.9', 0], ['192.0.2.0/24', 0], ['rubbish', 0], ['', 0];
is(state('/if', '192.0.2.1') . state('/if', '9.9.9.9'), '429200', 'in a condition');
is(join(' ', map { state('/limit/a.html', '192.0.2.1') } 1, 2), '200 503', 'as a key of a limit');
is(join(' ', map { state('/limit/a.html', '9.9.9.9') } 1, 2), '200 200', 'which the others have not');

# A new list for all workers: each says so.
sub replace { my ($name, $text) = @_; $w->write_file("$name.new", $text); utime time, time, "$w->{dir}/$name.new"; rename "$w->{dir}/$name.new", "$w->{dir}/$name" or die $! }
my @pids = $w->workers;
sub all_workers {       # what each worker says of an address
    my ($ip) = @_;
    my %said;
    wait_for(sub { for (1 .. 20) { my ($blocked, undef, $pid) = split ' ', get('/say', $ip)->body; $said{$pid} = $blocked } return keys %said == @pids }) or return 'not all were met';
    return join ' ', map { $said{$_} } sort keys %said;
}
is(all_workers('192.0.2.1'), '1 1 1 1', 'all workers');
replace('blocked.txt', "203.0.113.1\n");
ok($w->wait_error(qr/1 addresses and networks were read from "[^"]*blocked\.txt"/), 'a new list is read');
is(all_workers('203.0.113.1'), '1 1 1 1', 'all workers have it');
is(all_workers('192.0.2.1'), '0 0 0 0', 'and not the old one');
is(state('/deny/a.html', '203.0.113.1') . state('/deny/a.html', '192.0.2.1'), '403200', 'rules too');
is(join(' ', sort $w->workers), join(' ', sort @pids), 'without a reload');

replace('blocked.txt', "9.9.9.9\nexample.com\n");
ok($w->wait_error(qr/\[error\] [^\n]*blocked\.txt:2: "example\.com" is no address, network or range: the one that was read before stays/), 'a broken file is told of');
is(all_workers('203.0.113.1'), '1 1 1 1', 'and changes nothing');
is(all_workers('9.9.9.9'), '0 0 0 0', 'nothing at all');
replace('blocked.txt', join '', map { sprintf "%d.%d.%d.%d\n", 10 + $_ % 90, $_ / 90 % 256, $_ / 23040, 1 } 0 .. 99_999);
ok($w->wait_error(qr/100000 addresses and networks were read/), 'a hundred thousand lines');
is(all_workers('10.0.0.1') . ' ' . all_workers('10.0.0.2'), '1 1 1 1 0 0 0 0', 'are in force');
is(scalar(() = $w->error_log =~ /\[error\] [^\n]*blocked\.txt/g), 1, 'one line about the broken one');

# Over a reload, with a file that is broken just then, the list stays; a start with such a file is refused.
replace('office.txt', "nonsense\n");
$w->reload;
ok($w->wait_error(qr/\[error\] [^\n]*office\.txt:1: "nonsense" is no address/), 'a reload says it too') or diag $w->error_log;
is(state('/allow/a.html', '198.51.100.8') . state('/allow/a.html', '9.9.9.9'), '200403', 'and keeps the list');
for (["allow list=bad.txt;", qr/bad\.txt:3: "1\.2\.3\.4\/40" is no address, network or range/], ['deny list=none.txt;', qr/"[^"]*none\.txt" cannot be opened.*No such file/], ['deny list=;', qr/invalid parameter "list="/]) {
    my $bad = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%%; $_->[0] } }\n", files => { 'bad.txt' => "1.1.1.1\n\n1.2.3.4/40\n" });
    my ($code, $said) = $bad->t_binary;
    is($code, 1, "$_->[0] is refused");
    like($said, $_->[1], 'and why');
    $bad->expect_log(qr/emerg/);
}
done_testing;
