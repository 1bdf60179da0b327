# keyval: tables that change while the server runs, by "set" and by their files.
use lib 't/lib';
use Weir;
use JSON::PP;

my $conf = <<'EOC';
worker_processes 2;
events { }
http {
    keyval_zone zone=plain:512k;
    keyval_zone zone=kept:64k state=%%TESTDIR%%/kept.json;
    keyval_zone zone=ips:256k type=ip state=%%TESTDIR%%/ips.json;
    keyval_zone zone=paths:64k type=prefix state=%%TESTDIR%%/paths.json;
    keyval_zone zone=short:64k timeout=300ms;
    keyval $arg_k $plain zone=plain;
    keyval $arg_k $kept zone=kept;
    keyval $arg_ip $banned zone=ips;
    keyval $arg_p $path zone=paths;
    keyval $arg_k $short zone=short;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /get { return 200 "$plain|$kept|$short"; }
        location /ip { return 200 "$banned"; }
        location /path { return 200 "$path"; }
        location /set/plain { set $plain $arg_v; return 204; }
        location /set/kept { set $kept $arg_v; return 204; }
        location /set/short { set $short $arg_v; return 204; }
        location /set/ip { set $banned $arg_v; return 204; }
    }
}
EOC
my $w = Weir->new(conf => $conf, files => { 'ips.json' => '{"192.0.2.1": "one", "192.0.2.0/24": "net", "0.0.0.0/0": "", "2001:db8::/32": {"value": "six"}, "10.0.0.0/8": {"value": "old", "expire": 1000}}',
    'paths.json' => '{"/a": "A", "/a/b/": "AB", "/": "root"}' })->start;
sub body { return $w->get($_[0])->body }
is(body('/get?k=x'), '||', 'empty');
$w->get('/set/plain?k=x&v=1');
$w->get('/set/kept?k=x&v=two%20"w"');
is(body('/get?k=x'), '1|two%20"w"|', 'set');
is(body('/get?k=y') . body('/get'), '||||', 'others are not');
my @seen = map { body('/get?k=x') } 1 .. 20;
is(scalar(grep { $_ ne '1|two%20"w"|' } @seen), 0, 'in all workers');
$w->get('/set/plain?k=x&v=2');
is(body('/get?k=x'), '2|two%20"w"|', 'changed');
$w->get('/set/plain?k=x&v=');
is(body('/get?k=x'), '|two%20"w"|', 'ended');
$w->get('/set/short?k=x&v=s');
is(body('/get?k=x'), '|two%20"w"|s', 'with a timeout');
ok(wait_for(sub { body('/get?k=x') eq '|two%20"w"|' }), 'which comes');
for (['192.0.2.1', 'one'], ['192.0.2.2', 'net'], ['::ffff:192.0.2.1', 'one'], ['198.51.100.1', ''], ['2001:db8::1', 'six'], ['2001:db9::1', ''], ['10.1.1.1', ''], ['rubbish', ''], ['', '']) {
    is(body("/ip?ip=$_->[0]"), $_->[1], "address $_->[0]");
}
for (['/a', 'A'], ['/a/b/c', 'AB'], ['/a/b', 'A'], ['/b', 'root'], ['x', ''], ['/' . 'x' x 2000, 'root']) {
    is(body("/path?p=$_->[0]"), $_->[1], 'prefix ' . substr $_->[0], 0, 20);
}

# The file of a table: written, and read when it changes.
ok(wait_for(sub { -s "$w->{dir}/kept.json" }), 'what was set is written');
is_deeply(decode_json(Weir::slurp("$w->{dir}/kept.json")), { x => 'two%20"w"' }, 'as JSON');
$w->write_file('ips.json', '{"192.0.2.2": "new"}');
ok(wait_for(sub { body('/ip?ip=192.0.2.2') eq 'new' }), 'a file that changed is read');
is(body('/ip?ip=192.0.2.1') . body('/ip?ip=2001:db8::1'), '', 'what stands in it no more is gone');
$w->write_file('ips.json', '{"192.0.2.2": ');
ok($w->wait_error(qr/ips.json" is not understood/), 'a broken file is told');
is(body('/ip?ip=192.0.2.2'), 'new', 'and changes nothing');
$w->write_file('ips.json', '{"192.0.2.2": "x", "none": "y", "192.0.2.9": 5}');
ok($w->wait_error(qr/ips.json": 2 entries were not taken/), 'bad entries are told');
is(body('/ip?ip=192.0.2.2'), 'x', 'good ones are taken');

ok($w->reload, 'reload');
is(body('/get?k=x'), '|two%20"w"|', 'tables survive it');
my @old = $w->workers;
$w->expect_log(qr/exited on signal 9/);
my $pid = fork // die;
if (!$pid) { for (1 .. 800) { eval { $w->get("/set/plain?k=$_&v=$_") } } Weir::leave() }
for (1 .. 15) { my ($one) = $w->workers; kill KILL => $one if $one; select undef, undef, undef, 0.05 }
kill KILL => $pid;
waitpid $pid, 0;
ok(wait_for(sub { my @now = $w->workers; @now == 2 && eval { $w->get('/set/plain?k=after&v=yes')->status == 204 } && eval { body('/get?k=after') =~ /^yes/ } }), 'workers killed while they set do no harm');

# Full.
my $c = $w->connect;
for my $k (1 .. 2500) { $c->request('GET', "/set/plain?k=full$k&v=" . 'v' x 50); $c->response(method => 'GET') or do { $c = $w->connect } }
ok($w->wait_error(qr/keyval zone "plain" is full/), 'a full table is told');
is($w->get('/get?k=after')->body =~ /^yes/ ? 1 : 0, 1, 'and keeps what it has');

$w->stop;
my $again = Weir->new(conf => $conf, files => { 'kept.json' => Weir::slurp("$w->{dir}/kept.json") })->start;
is($again->get('/get?k=x')->body, '|two%20"w"|', 'another start reads the file');

for (['keyval $uri $x zone=none;', 'zero size shared memory zone "none"'], ['keyval_zone zone=a:1m; keyval_zone zone=a:1m;', 'duplicate zone "a"'], ['keyval_zone zone=a:1k;', 'too small'], ['keyval_zone zone=a:1m type=x;', 'invalid parameter "type=x"'],
    ['keyval_zone zone=a:1m timeout=x;', 'invalid timeout'], ['keyval_zone zone=a:1m; keyval a b zone=a;', 'invalid variable name "b"']) {
    my ($line, $why) = @$_;
    my $bad = Weir->new(conf => "events { }\nhttp { $line }\n");
    my ($code, $said) = $bad->t_binary;
    is($code, 1, "$line is refused");
    like($said, qr/\Q$why\E/, $why);
    $bad->expect_log(qr/emerg/);
}
done_testing;
