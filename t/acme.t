# ACME with a real server: certificates are got by both challenges, shown by all workers without a reload, kept, and found again.
use lib 't/lib';
use Weir;
use Weir::Pebble;

plan(skip_all => 'nginx has it as a module of its own') if ($ENV{WEIR_BINARY} // '') =~ /nginx[^\/]*$/;
plan(skip_all => 'no pebble') unless Weir::Pebble::there();
my $w = Weir->new;
my $ca = Weir::Pebble->new(http => $w->port(0), tls => $w->port(1), env => { PEBBLE_ALTERNATE_ROOTS => 2 })->start;
sub conf {
    my %o = @_;
    return <<"EOC";
user nobody nogroup;
worker_processes 4;
events { }
http {
    acme_issuer web  { uri @{[$ca->uri]}; ssl_trusted_certificate @{[$ca->trusted]}; contact admin\@example.com; accept_terms_of_service; retry_interval 1s 4s; $o{web} }
    acme_issuer alpn { uri @{[$ca->uri]}; ssl_trusted_certificate @{[$ca->trusted]}; challenge tls-alpn-01; account_key rsa:2048; common_name_in_csr on; accept_terms_of_service; state_path alpn.state; retry_interval 1s 4s; }
    ssl_certificate     \$acme_certificate;
    ssl_certificate_key \$acme_certificate_key;
    ssl_session_tickets off;
    map \$ssl_server_name \$half { default \$acme_certificate; }
    server { listen 127.0.0.1:%%PORT_0%%; return 301 https://\$host\$request_uri; }
    server { listen 127.0.0.1:%%PORT_1%% ssl default_server; server_name a.test .b.test ~regex; acme_certificate web; return 200 "a \$pid"; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; server_name c.test; acme_certificate web c.test c2.test 127.0.0.1 key=ecdsa:384; return 200 c; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; server_name d.test; acme_certificate alpn key=rsa:2048; return 200 d; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; server_name e.test; acme_certificate alpn e.test 127.0.0.1; ssl_protocols TLSv1.3; ssl_verify_client on; ssl_client_certificate @{[$ca->trusted]}; return 200 e; }
    server { listen 127.0.0.1:%%PORT_2%% ssl; server_name a.test; acme_certificate web a.test b.test; ssl_certificate \$half; ssl_certificate_key \$acme_certificate_key; return 200 variable; }
    $o{more}
}
EOC
}
sub set { my %o = (web => '', more => '', @_); $w->write_conf(conf(%o)) }
sub shown {     # what is presented for a name: issuer, names, key; and the serial number
    my ($name, $port, @more) = @_;
    my $to = $w->port($port // 1);
    my $said = `timeout 20 openssl s_client -connect 127.0.0.1:$to -servername $name @more </dev/null 2>/dev/null`;
    my ($pem) = $said =~ /(-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----)/s or return 'none';
    $w->write_file('shown.pem', "$pem\n");
    my $text = `openssl x509 -in @{[$w->dir]}/shown.pem -noout -text`;
    my ($issuer) = $text =~ /Issuer: CN = (\w+)/;
    my ($names) = $text =~ /Subject Alternative Name:[^\n]*\n\s*([^\n]*)/;
    my ($bits) = $text =~ /Public-Key: \((\d+) bit/;
    return wantarray ? (join(' ', $issuer // '?', join(' ', sort split /, /, $names), $bits), `openssl x509 -in @{[$w->dir]}/shown.pem -noout -serial`, $said) : join(' ', $issuer // '?', join(' ', sort split /, /, $names), $bits);
}
sub count { my $re = shift; return scalar(() = $w->error_log =~ /$re/g) }

# ---- the first time
set();
$ca->stop;
$w->start;
like(scalar shown('a.test'), qr/^weir DNS:a\.test DNS:b\.test 256/, 'before there is a certificate one of our own is shown');
like(scalar shown('d.test'), qr/^weir DNS:d\.test 2048/, 'of the type that was asked for');
is(shown('a.test', 2), 'none', 'a variable has no value then');
ok($w->wait_error(qr/\[error\].*certificate "a\.test-\w+" of "web": reading the directory failed: \S+dir: connect\(\) failed \(111: Connection refused\); again in \d+ s/), 'a server that is not there is told of');
like($w->error_log . Weir::slurp($w->dir . '/stderr'), qr/\[warn\].*server name "~regex" is left out of acme_certificate/, 'names that cannot be proved are told of');
$ca->start;
ok(wait_for(sub { count(qr/was issued by/) >= 4 }, 60), 'it comes back, and four certificates are got') or diag $w->error_log;
ok(wait_for(sub { shown('a.test') =~ /^Pebble/ && shown('e.test') =~ /^Pebble/ }), 'workers have them');
is(scalar shown('a.test'), 'Pebble DNS:a.test DNS:b.test 256', 'names of server_name, by http-01');
is(scalar shown('c.test'), 'Pebble DNS:c.test DNS:c2.test IP Address:127.0.0.1 384', 'names and an address as they are given; another key');
is(scalar shown('d.test'), 'Pebble DNS:d.test 2048', 'by tls-alpn-01');
is(scalar shown('e.test'), 'Pebble DNS:e.test IP Address:127.0.0.1 256', 'an address by tls-alpn-01, though the server wants certificates of its clients');
is(scalar shown('a.test', 2), 'Pebble DNS:a.test DNS:b.test 256', 'through variables of variables');
my %serial = map { (shown('a.test'))[1] => 1 } 1 .. 20;
is(keys %serial, 1, 'the same from all workers');
unlike($w->error_log, qr/CRIT|PRIVATE/, 'no secret is in the log');
cmp_ok($ca->said(qr/POST \/sign-me-up/), '>=', 2, 'a refused nonce is no failure');
is(count(qr/new account/), 2, 'one account an issuer');

# ---- challenges
is($w->get('/x', headers => [Host => 'a.test'])->status, 301, 'what is no challenge goes its usual way');
is($w->get('/.well-known/acme-challenge/unknown', headers => [Host => 'a.test'])->status, 301, 'and so does a challenge that is not ours');
my $alpn = `timeout 20 openssl s_client -connect 127.0.0.1:@{[$w->port(1)]} -servername d.test -alpn acme-tls/1 </dev/null 2>&1`;
unlike($alpn, qr/BEGIN CERTIFICATE/, 'acme-tls/1 is spoken while a challenge waits, and never else');
like($alpn, qr/no application protocol/, 'but refused');

# ---- what is kept
my %mode = map { m{([^/]+/[^/]+)$} => sprintf '%o', (stat)[2] & 07777 } map { glob $w->dir . "/$_/*" } 'acme_web', 'alpn.state';
is(join(' ', sort keys %{ { reverse %mode } }), '600', 'files are for their owner alone');
is(sprintf('%o', (stat $w->dir . '/acme_web')[2] & 07777), '700', 'and so is the folder');
is((stat $w->dir . '/acme_web')[4], scalar getpwnam('nobody'), 'which is the manager\'s');
is(scalar(grep { /\.pem$/ } keys %mode), 4, 'certificates that are the same are one') or diag explain \%mode;
my @before = map { (shown($_))[1] } qw(a.test c.test d.test e.test);
my $asked = $ca->said(qr/calling handler/);
ok($w->stop, 'stopped');
$w->start;
is_deeply([map { (shown($_))[1] } qw(a.test c.test d.test e.test)], \@before, 'after a restart they are there at once');
ok($w->reload, 'a reload');
is_deeply([map { (shown($_))[1] } qw(a.test c.test d.test e.test)], \@before, 'and after a reload');
my $old = $w->pid;
ok($w->upgrade, 'a new binary');
is_deeply([map { (shown($_))[1] } qw(a.test c.test d.test e.test)], \@before, 'has them while the old one is there');
kill QUIT => $old;
ok(wait_for(sub { !Weir::alive($old) }), 'the old one leaves');
is_deeply([map { (shown($_))[1] } qw(a.test c.test d.test e.test)], \@before, 'and when it has left');
is($ca->said(qr/calling handler/), $asked, 'the server was asked for nothing');

# ---- another one
set(more => 'server { listen 127.0.0.1:%%PORT_1%% ssl; server_name f.test; acme_certificate web; return 200 f; }');
ok($w->reload, 'one more');
ok(wait_for(sub { shown('f.test') =~ /^Pebble DNS:f\.test/ }, 30), 'is got') or diag $w->error_log;
is(count(qr/new account/), 2, 'by the account that is there');
is((shown('a.test'))[1], $before[0], 'the others stay as they are');

# ---- which chain
my @ends = map { $_->{issuer} } map { { issuer => scalar(`echo '$_' | openssl x509 -noout -subject` =~ /CN = (.*)/ ? $1 : '') } } map { $ca->root($_) } 0 .. 2;
like($ends[2], qr/Pebble Root CA/, 'three roots');
set(web => qq{preferred_chain "$ends[2]";}, more => 'server { listen 127.0.0.1:%%PORT_1%% ssl; server_name g.test; acme_certificate web; return 200 g; }');
ok($w->reload, 'a preferred chain');
ok(wait_for(sub { shown('g.test') =~ /^Pebble DNS:g\.test/ }, 30), 'is looked for') or diag $w->error_log;
my ($last) = (shown('g.test', 1, '-showcerts'))[2] =~ /.*\n\s*i:CN = ([^\n]*)/s;
is($last, $ends[2], 'and found');
set(web => 'preferred_chain nobody;', more => 'server { listen 127.0.0.1:%%PORT_1%% ssl; server_name h.test; acme_certificate web; return 200 h; }');
ok($w->reload, 'one that is not there');
ok($w->wait_error(qr/\[warn\].*certificate "h\.test-\w+": no chain ends at "nobody": the server's first is taken/, 30), 'is told of');
ok(wait_for(sub { shown('h.test') =~ /^Pebble DNS:h\.test/ }, 30), 'and another one taken') or diag $w->error_log;

# ---- a server that has forgotten us
$ca->stop->start;
set(more => 'server { listen 127.0.0.1:%%PORT_1%% ssl; server_name i.test; acme_certificate web; return 200 i; }');
ok($w->reload, 'the server has forgotten everything');
ok($w->wait_error(qr/\[warn\].*acme issuer "web": the server does not know the account \S+: a new one is made/, 30), 'which is told');
ok(wait_for(sub { shown('i.test') =~ /^Pebble DNS:i\.test/ }, 30), 'a new account is made') or diag $w->error_log;
done_testing;
