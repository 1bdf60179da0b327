# OCSP. Certificates of clients: what responders say, and what nginx makes of it; bounds, waiting, what is kept.
use lib 't/lib';
use Weir;
use Weir::Dns;
use Weir::Pem;

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->ca('other');
my %port = map { $_ => Weir::free_port() } qw(ok stranger delegated leaf_signed stale endless down mid midbad);
my %url = map { $_ => "http://127.0.0.1:$port{$_}" } keys %port;
$pem->issue($_, by => 'ca') for qw(srv good bad odd signer plain);
$pem->issue('mid', by => 'ca', ca => 1)->issue('midbad', by => 'ca', ca => 1);
$pem->issue('deep', by => 'mid')->issue('deepbad', by => 'midbad');
$pem->reissue('good', by => 'ca', serial => 17, url => $url{ok})->reissue('bad', by => 'ca', serial => 19, url => $url{ok})->reissue('odd', by => 'ca', serial => 23, url => $url{ok});
$pem->reissue('plain', by => 'ca', serial => 29);
$pem->reissue('signer', by => 'ca', serial => 31, ext => 'extendedKeyUsage=OCSPSigning');
$pem->reissue('mid', by => 'ca', serial => 41, ca => 1, url => $url{ok})->reissue('midbad', by => 'ca', serial => 43, ca => 1, url => $url{ok});
$pem->reissue('deep', by => 'mid', serial => 51, url => $url{mid})->reissue('deepbad', by => 'midbad', serial => 52, url => $url{midbad});
$pem->write('deep.chain', $pem->read('deep.pem') . $pem->read('mid.pem'));
$pem->write('deepbad.chain', $pem->read('deepbad.pem') . $pem->read('midbad.pem'));
$pem->serials('ca.index', good => 17, bad => -19, plain => 29, mid => 41, midbad => -43)->serials('mid.index', deep => 51, deepbad => 52);
my %of_ca = (by => 'ca', index => 'ca.index', days => 7);
$pem->responder($port{ok}, %of_ca);
$pem->responder($port{stranger}, %of_ca, signer => 'other');
$pem->responder($port{delegated}, %of_ca, signer => 'signer');
$pem->responder($port{leaf_signed}, %of_ca, signer => 'plain');
$pem->responder($port{stale}, %of_ca, days => 1, early => 3 * 86400);
$pem->responder($port{endless}, by => 'ca', index => 'ca.index');
$pem->responder($port{mid}, by => 'mid', index => 'mid.index', days => 7);
$pem->responder($port{midbad}, by => 'midbad', index => 'mid.index', days => 7);
my $hung = Weir::Backend->new(sub { select undef, undef, undef, 30; '' });
my $nonsense = Weir::Backend->new(sub { "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nnonsense" });
my $busy = Weir::Backend->new(sub { "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" });

my %vars = (map({ uc $_ => $url{$_} } keys %url), HUNG => 'http://' . $hung->addr, NONSENSE => 'http://' . $nonsense->addr, BUSY => 'http://' . $busy->addr);
my %files = map { $_ => $pem->read($_) } qw(ca.pem srv.pem srv.key);
my $servers = join '', map {
    my ($n, $how, $url, $more) = @$_;
    "server { listen 127.0.0.1:%%PORT_$n%% ssl; ssl_ocsp $how; " . ($url ? "ssl_ocsp_responder %%$url%%/; " : '') . ($more // '') . ' location / { return 200 "$ssl_client_verify"; } }' . "\n"
} [0, 'on', 'OK'], [1, 'leaf', '', 'ssl_verify_client optional;'], [2, 'on', 'STRANGER'], [3, 'on', 'DELEGATED'], [4, 'on', 'LEAF_SIGNED'], [5, 'on', 'STALE'], [6, 'on', 'DOWN'],
  [7, 'on', 'NONSENSE'], [8, 'on', 'BUSY'], [9, 'on', '', 'ssl_ocsp_cache shared:o:1m;'], [10, 'on', 'ENDLESS', 'ssl_ocsp_cache shared:o:1m;'], [11, 'off', 'STRANGER'],
  [12, 'on', 'DOWN', 'error_page 495 = @why; location @why { return 200 "why: $ssl_client_verify"; }'],
  [13, 'on', 'STRANGER', 'error_page 495 = @why; location @why { return 200 "why: $ssl_client_verify"; }'], [14, 'on', 'OK', 'error_page 495 = @why; location @why { return 200 "why: $ssl_client_verify"; }'];
my $conf = <<"EOC";
worker_processes %%WORKERS%%;
error_log error.log info;
events { }
http {
    access_log off;
    ssl_certificate srv.pem; ssl_certificate_key srv.key; ssl_client_certificate ca.pem; ssl_verify_client on; ssl_verify_depth 3;
    $servers
}
EOC
my ($weir, $nginx) = map { Weir->new(vars => { %vars, WORKERS => 1 }, files => \%files, conf => $conf, $_ ? (binary => $Weir::nginx) : ())->start } 0, 1;

sub ask {        # what a client of a server is told
    my ($w, $n, $who, %o) = @_;
    my @cert = $who ? (SSL_cert_file => $pem->file($who =~ /^deep/ ? "$who.chain" : "$who.pem"), SSL_key_file => $pem->file("$who.key")) : ();
    my $c = eval { $w->connect(port => $w->port($n), ssl => { @cert, %{ $o{ssl} // {} } }) } or return 'no handshake';
    $c->send("GET / HTTP/1.0\r\n\r\n");
    my $r = $c->response or return 'closed';
    return $r->status . ' ' . ($r->body =~ m{<title>(.*?)</title>} ? $1 : $r->body);
}

my $refused = '400 400 The SSL certificate error';
for (
    [0, 'good', '200 SUCCESS'], [0, 'bad', $refused, 'revoked'], [0, 'odd', $refused, 'unknown to the responder'], [0, 'plain', '200 SUCCESS', 'no URL of its own, and one given'],
    [1, 'good', '200 SUCCESS', 'by the URL of the certificate'], [1, 'bad', $refused, 'revoked, where none is required'], [1, '', '200 NONE', 'none'], [1, 'plain', $refused, 'no URL at all'],
    [2, 'good', $refused, 'signed by a stranger'], [3, 'good', '200 SUCCESS', 'signed by whom the issuer named'], [3, 'bad', $refused, 'revoked, so signed'],
    [4, 'good', $refused, 'signed by another client of the same issuer'], [5, 'good', $refused, 'over'], [6, 'good', $refused, 'nobody there'], [7, 'good', $refused, 'nonsense'], [8, 'good', $refused, '503'],
    [11, 'bad', '200 SUCCESS', 'off'], [0, 'deep', $refused, 'another issuer than the responder answers for'], [9, 'deep', '200 SUCCESS', 'each of a chain is asked for'], [9, 'deepbad', $refused, 'one between is revoked'],
    [1, 'deepbad', '200 SUCCESS', 'leaf: it alone is asked for'], [12, 'good', '200 why: FAILED:certificate status request failed'],
    [13, 'good', '200 why: FAILED:certificate status request failed'], [14, 'bad', '200 why: FAILED:certificate revoked'], [14, 'odd', '200 why: FAILED:certificate status unknown'],
) {
    my ($n, $who, $expected, $name) = @$_;
    my ($ours, $theirs) = map { ask($_, $n, $who) } $weir, $nginx;
    $name = "server $n, " . ($who || 'no certificate') . ($name ? ": $name" : '');
    is($ours, $expected, $name);
    is($theirs, $expected, "$name: nginx");
}
for (
    [qr/\[info\].*client SSL certificate verify error: certificate revoked while reading client request headers, client/, 'revoked'],
    [qr/\[info\].*client SSL certificate verify error: certificate status unknown while/, 'unknown'],
    [qr/\[info\].*client SSL certificate verify error: certificate status request failed while/, 'not known'],
    [qr/\[error\].*no OCSP responder URL in certificate/, 'no URL'],
    [qr/\[error\].*OCSP_basic_verify\(\) failed.* while requesting certificate status/, 'bad signature'],
    [qr/\[error\].*(?:OCSP_check_validity\(\) failed|ocsp.*status expired).* while requesting certificate status/i, 'over'],
    [qr/\[error\].*Connection refused\).* while requesting certificate status/, 'nobody there'],
    [qr/\[error\].*d2i_OCSP_RESPONSE\(\) failed.* while requesting certificate status/, 'nonsense'],
) { like($weir->error_log, $_->[0], "said: $_->[1]") }

# ---- a session that is resumed is asked for again
for my $w ($weir, $nginx) {
    my $sessions = IO::Socket::SSL::Session_Cache->new(8);
    my %ssl = (SSL_session_cache => $sessions, SSL_session_key => 'x', SSL_version => 'TLSv1_2');
    my $before = $pem->asked($port{ok});
    is(join(', ', map { ask($w, 0, 'good', ssl => \%ssl) } 1 .. 3), '200 SUCCESS, 200 SUCCESS, 200 SUCCESS', $w->name . ': three connections');
    is($pem->asked($port{ok}) - $before, 3, $w->name . ': and as many questions');
}

# ---- what is kept: one question for all workers
my ($many, $theirs) = map { Weir->new(vars => { %vars, WORKERS => 4 }, files => \%files, conf => $conf, $_ ? (binary => $Weir::nginx) : ())->start } 0, 1;
for my $w ($many, $theirs) {
    my ($ok, $endless) = map { $pem->asked($port{$_}) } qw(ok endless);
    is(join(' ', map { ask($w, 9, 'good') } 1 .. 16), join(' ', ('200 SUCCESS') x 16), $w->name . ': 16 connections to 4 workers');
    is($pem->asked($port{ok}) - $ok, 1, $w->name . ': one question');
    is(ask($w, 9, 'bad'), $refused, $w->name . ': revoked') for 1 .. 4;
    is($pem->asked($port{ok}) - $ok, 2, $w->name . ': one question more');
    ask($w, 10, 'plain') for 1 .. 3;
    is($pem->asked($port{endless}) - $endless, 1, $w->name . ': an answer without an end is kept');
}
$many->reload;
my $before = $pem->asked($port{ok});
is(ask($many, 9, 'good'), '200 SUCCESS', 'after a reload');
is($pem->asked($port{ok}) - $before, 0, 'what is kept is kept over it');

# ---- a responder that hangs: nobody else waits; who leaves, leaves; who waits, waits as long as for a request
my $slow = Weir->new(vars => { %vars }, files => \%files, conf => <<'EOC')->start;
worker_processes 1;
error_log error.log info;
events { }
http {
    access_log off;
    ssl_certificate srv.pem; ssl_certificate_key srv.key; ssl_client_certificate ca.pem; ssl_verify_client on;
    server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_ocsp on; ssl_ocsp_responder %%HUNG%%/; client_header_timeout 2s; return 200 never; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; ssl_verify_client off; return 200 quick; }
    server { listen 127.0.0.1:%%PORT_2%% ssl; ssl_ocsp on; ssl_ocsp_responder %%HUNG%%/; return 200 never; }
}
EOC
my %good = (SSL_cert_file => $pem->file('good.pem'), SSL_key_file => $pem->file('good.key'));
my ($waits, $leaves) = map { $slow->connect(port => $slow->port($_), ssl => {%good}) } 0, 2;
$_->send("GET / HTTP/1.0\r\n\r\n") for $waits, $leaves;
ok(wait_for(sub { $hung->requests >= 2 }), 'two wait for a responder that hangs');
is(ask($slow, 1, ''), '200 quick', 'another client is served meanwhile');
$leaves->close;
ok($slow->wait_error(qr/\[info\].*client closed connection while checking client certificate, client:/), 'who leaves is not waited for');
is($waits->rest, '', 'who waits is not answered');
ok($slow->wait_error(qr/\[info\].*client timed out.*client/), 'and given up at client_header_timeout');
is(ask($slow, 1, ''), '200 quick', 'the worker lives');
my $left = $slow->connect(port => $slow->port(2), ssl => {%good});
$left->send("GET / HTTP/1.0\r\n\r\n");
ok(wait_for(sub { $hung->requests >= 3 }), 'one more waits for the responder');
$slow->signal('QUIT');
ok($slow->wait_error(qr/gracefully shutting down/), 'a graceful end');
$left->close;
ok($slow->stop, 'comes when the client has left, not when it was given up');

# ---- a responder by name, asked for where "resolver" says; both of certificates of clients and of our own
my $dns = Weir::Dns->new('ocsp.test A 60 127.0.0.1');
for my $binary (undef, $Weir::nginx) {
    $pem->issue('named', by => 'ca')->reissue('named', by => 'ca', serial => 17, url => "http://ocsp.test:$port{ok}/")->issue('lost', by => 'ca')->reissue('lost', by => 'ca', serial => 17, url => "http://lost.test:$port{ok}/");
    my $w = Weir->new($binary ? (binary => $binary) : (), vars => { DNS => $dns->addr }, files => { %files, 'own.pem' => $pem->read('named.pem'), 'own.key' => $pem->read('named.key') }, conf => <<'EOC')->start;
error_log error.log info;
events { }
http {
    resolver %%DNS%% ipv6=off; resolver_timeout 5s;
    ssl_certificate own.pem; ssl_certificate_key own.key; ssl_client_certificate ca.pem; ssl_trusted_certificate ca.pem;
    server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_verify_client on; ssl_ocsp on; location / { return 200 "$ssl_client_verify"; } }
    server { listen 127.0.0.1:%%PORT_1%% ssl; ssl_stapling on; ssl_stapling_verify on; return 200 x; }
}
EOC
    is(ask($w, 0, 'named'), '200 SUCCESS', $w->name . ': by name');
    is(ask($w, 0, 'lost'), $refused, $w->name . ': by a name that is not there');
    ok($w->wait_error(qr/\[error\].*lost\.test could not be resolved \(3: Host not found\)/), $w->name . ': said');
    next if $binary;          # nginx asks the system for that name when it starts, and staples nothing where there is none
    my $to = $w->port(1);
    ok(wait_for(sub { `timeout 10 openssl s_client -connect 127.0.0.1:$to -status </dev/null 2>/dev/null` =~ /Cert Status: good/ }), $w->name . ': stapled, by name');
}

# ---- names, and no names
sub complaint { my ($lines, $binary) = @_; my $w = Weir->new($binary ? (binary => $binary) : (), files => \%files, conf => "error_log stderr; events { } http { server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate srv.pem; ssl_certificate_key srv.key; ssl_client_certificate ca.pem; $lines } }")->expect_log(qr/\[emerg\]/); my ($code, $said) = $w->t_binary; return ($said =~ /\[emerg\] (?:\d+#\d+: )?(.*?)(?: in \S+:\d+)?$/m ? $1 : 'fine') }
for my $lines ('ssl_ocsp on;', 'ssl_ocsp on; ssl_verify_client optional_no_ca;', 'ssl_verify_client on; ssl_ocsp on; ssl_ocsp_responder https://a/;', 'ssl_ocsp_cache shared:a:1k;', 'ssl_ocsp_cache builtin;', 'ssl_ocsp_cache shared:a;',
    'ssl_session_cache shared:a:1m; ssl_ocsp_cache shared:a:1m;', 'ssl_ocsp_cache shared:a:1m; ssl_session_cache shared:a:1m;', 'ssl_ocsp_responder foo;') {
    is(complaint($lines), complaint($lines, $Weir::nginx), "-t: $lines");
}
$pem->responders_end;
done_testing;
