# auth_basic as nginx has it: every kind of hash, satisfy, files that change; slow hashes, which nobody else waits for; auth_delay.
use lib 't/lib';
use Weir;
use Weir::Compare;
use MIME::Base64;
use Time::HiRes qw(time);

my %hash = (plain => '{PLAIN}secret', sha => '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=', ssha => '{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0', apr => '$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/',
    md5 => '$1$QIYZKyay$0pzTRQjhv1iwlyVnV4z8X1', des => 'y8Go8sxwk1E6g', sha256 => '$5$LHhgEqaY5Z.zUB.b$YJ1Z5M4YUlXGEj3paRQWp5jCUihMYINF697xi9shVF3',
    sha512 => '$6$9omi42lmG.0t4Urz$eqKSHd0AWni15shCCf2PgNHm49UCaNgoAqIWE.K9yFDQ8bzKOKliShvmiI7nz.A0TmAtgLzO0MWsLWu65jrat/',
    bcrypt => '$2b$04$W8oOfvqMQ8UuSFl5Yg8KleHqHTW2N2rzAaSG7EPpQJd.SOfGwak4y', yescrypt => '$y$j9T$abcdefghijkl$XFQnRmFDoRnfefa6tLCdzcaB9xoGhmmkRgfG1lm0pK1');
my $users = join('', "# users\n", "\n", "nohash\n", map({ "$_:$hash{$_}\n" } sort keys %hash), "comment:$hash{plain}:a comment\n", "twice:{PLAIN}one\ntwice:{PLAIN}two\n", "crlf:$hash{sha}\r\n",
    "bad:*0\n", "empty:{PLAIN}\n", "nothing:\n", "colon:{PLAIN}a:b\n", "last:$hash{plain}");
my $conf = <<'EOC';
events { }
http {
    log_format user '$remote_user $status';
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        auth_basic "closed site";
        auth_basic_user_file %%TESTDIR%%/users;
        access_log %%TESTDIR%%/user.log user;
        location / { }
        location /off/ { auth_basic off; }
        location /var/ { auth_basic $arg_realm; }
        location /varfile/ { auth_basic_user_file %%TESTDIR%%/$arg_file; }
        location /relative/ { auth_basic_user_file users; }
        location /missing/ { auth_basic_user_file %%TESTDIR%%/none; }
        location /folder/ { auth_basic_user_file %%TESTDIR%%/html; }
        location /any/ { satisfy any; allow 127.0.0.1; deny all; }
        location /anydeny/ { satisfy any; deny all; }
        location /both/ { deny all; }
        location /except/ { auth_basic off; limit_except GET { auth_basic "to write"; } }
        location /page/ { error_page 401 /off/a; }
        location /say/ { return 200 "$remote_user"; }
    }
}
EOC
my %files = (users => $users, map { ("html/$_/a" => "$_\n") } qw(off var varfile relative missing folder any anydeny both except page sub));
$files{'html/a'} = "top\n";
sub ask { my ($uri, $auth, $method) = @_; return ($method // 'GET') . " $uri HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n" . (defined $auth ? "Authorization: $auth\r\n" : '') . "\r\n" }
sub basic { my $t = encode_base64($_[0], ''); return "Basic $t" }

my ($n, $w) = Weir->compare($conf, [
    'nothing' => ask('/a'),
    map({ my $u = $_; map { ("$u:$_" => ask('/a', basic("$u:$_"))) } 'secret', 'Secret', '' } sort(keys %hash), 'comment', 'crlf', 'last', 'bad', 'empty', 'nothing', 'nobody', '#', 'nohash'),
    map({ ("twice:$_" => ask('/a', basic("twice:$_"))) } qw(one two)), map({ ("colon:$_" => ask('/a', basic("colon:$_"))) } qw(a a:b)),
    map({ ("Authorization: $_" => ask('/a', $_)) } 'Basic', 'Basic ', 'basic ' . encode_base64('plain:secret', ''), 'BASIC   ' . encode_base64('plain:secret', ''), 'Bearer x', 'Basic !!!!',
        basic('plain'), basic(':secret'), basic('plain:'), 'Basic cGxhaW46c2VjcmV0', 'Basic cGxhaW46c2VjcmV0====', basic("plain:secret\0"), basic("plain\0:secret")),
    'off' => ask('/off/a'), 'a realm in a variable' => ask('/var/a?realm=x%20y'), 'off in a variable' => ask('/var/a?realm=off'), 'an empty realm' => ask('/var/a'),
    'a file in a variable' => ask('/varfile/a?file=users', basic('plain:secret')), 'and none' => ask('/varfile/a?file=none', basic('plain:secret')),
    map({ my $l = $_; map { ("/$l/ with " . ($_ // 'nothing') => ask("/$l/a", $_ && basic($_))) } 'plain:secret', 'plain:x', undef } qw(relative missing any anydeny both page folder)),
    map({ ("$_->[0] " . ($_->[1] // '') => ask('/except/a', $_->[1] && basic($_->[1]), $_->[0])) } ['GET'], ['HEAD'], ['DELETE'], ['DELETE', 'plain:secret']),
    'the user' => ask('/say/', basic('plain:secret')), 'a long password' => ask('/a', basic('sha512:' . 'x' x 600)),
], files => \%files, differ => { 'Authorization: Basic cGxhaW46c2VjcmV0====' => 'not base64 (RFC 4648 4)', 'Authorization: ' . basic("plain:secret\0") => 'nginx compares up to the NUL' });
my @lines = map { my $s = $_; $s->stop; join '', map { s/^\S+ \S+ //; s/\d+#\d+: \*\d+ //; s/\Q$s->{dir}\E/DIR/g; "$_\n" } grep { /\[(error|crit|info)\].*client:/ && !/closed keepalive/ } split /\n/, $s->error_log } $n, $w;
# but for the two that differ
$lines[1] =~ s/^\[info\] no user.*\n\[error\] user "plain": password mismatch.*\n(?=.*user "plain\\x00)//m or fail('the two that differ');
is($lines[1] =~ s/\\x00/\0/gr, $lines[0], 'log lines as nginx');
my @user = map { my @l = split /\n/, $_->access_log('user.log'); splice @l, 72, 2; join "\n", @l } $w, $n;
is($user[0], $user[1], 'and $remote_user');
unlike($w->error_log . $w->access_log, qr/secret|cGxhaW4/i, 'no password in any log');

# A file that changes; a slow hash does not hold others up; too many are refused; no user file.
my $slow = crypt 'secret', '$6$rounds=400000$abcdefgh$';
my $own = Weir->new(conf => <<'EOC', files => { users => "a:{PLAIN}one\n", slow => "a:$slow\n", 'html/a' => 'A' }, log_level => 'info')->start;
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location / { auth_basic x; auth_basic_user_file %%TESTDIR%%/users; }
        location /slow { auth_basic x; auth_basic_user_file %%TESTDIR%%/slow; alias %%TESTDIR%%/html/a; }
        location /open { alias %%TESTDIR%%/html/a; }
        location /nofile { auth_basic x; alias %%TESTDIR%%/html/a; }
        location /delay { auth_basic x; auth_basic_user_file %%TESTDIR%%/users; auth_delay 300ms; alias %%TESTDIR%%/html/a; }
        location /delayany { satisfy any; deny all; auth_basic x; auth_basic_user_file %%TESTDIR%%/users; auth_delay 200ms; alias %%TESTDIR%%/html/a; }
    }
}
EOC
sub status_of { my ($uri, $auth) = @_; return $own->get($uri, headers => [$auth ? (Authorization => basic($auth)) : ()])->status }
is(status_of('/a', 'a:one') . status_of('/a', 'a:two'), '200401', 'as the file says');
$own->write_file('users', "a:{PLAIN}two\n");
is(status_of('/a', 'a:one') . status_of('/a', 'a:two'), '401200', 'as it says now');
unlink "$own->{dir}/users";
is(status_of('/a', 'a:two'), 403, 'without a file nobody enters');
$own->write_file('users', "b:{PLAIN}x\n");
is(status_of('/a', 'a:two') . status_of('/a', 'b:x'), '401200', 'and with it again');
is(status_of('/nofile', 'b:x'), 403, 'auth_basic without a file lets nobody in');

# A machine that has no time for us now has it at another try; who waits for others waits every time.
my ($from, $took, $all);
for (1 .. 6) {
    my @slow = map { my $c = $own->connect; $c->request('GET', '/slow', headers => [Authorization => basic('a:secret')]); $c } 1 .. 4;
    $from = time;
    my @fast = map { status_of('/open') } 1 .. 20;
    $took = time - $from;
    is("@fast", join(' ', (200) x 20), 'others are served');
    is(join(' ', map { $_->response(method => 'GET')->status } @slow), '200 200 200 200', 'while slow passwords are checked');
    $all = time - $from;
    last if $took < $all / 2;
}
ok($took < $all / 2, sprintf 'and do not wait: %.0f ms of %.0f', $took * 1000, $all * 1000);
my @leave = map { my $c = $own->connect; $c->request('GET', '/slow', headers => [Authorization => basic('a:secret')]); $c } 1 .. 3;
$_->reset for @leave;
is(status_of('/slow', 'a:wrong'), 401, 'some left, the next one is checked');
is(status_of('/slow', 'nobody:secret'), 401, 'an unknown user is none');
my @many = map { my $c = $own->connect; $c->request('GET', '/slow', headers => [Authorization => basic('a:secret')]); $c } 1 .. 300;
ok(wait_for(sub { $own->error_log =~ /too many passwords wait to be checked/ }), 'too many at once are refused');
is(status_of('/open'), 200, 'and others served still');
$_->reset for @many;
ok(kill(0, $own->workers), 'the worker lives');

for my $uri ('/delay', '/delayany') {
    $from = time;
    is(status_of($uri, 'b:wrong'), 401, "$uri: 401");
    ok(time - $from >= 0.19, 'comes late');
    for (1 .. 6) {
        $from = time;
        is(status_of($uri, 'b:x'), 200, 'who knows the password');
        last if ($took = time - $from) < 0.19;
    }
    cmp_ok($took, '<', 0.19, 'does not wait');
}
my $c = $own->connect;
$c->request('GET', '/delay');
$c->reset;
is(status_of('/open'), 200, 'who leaves while waiting does no harm');

done_testing;
