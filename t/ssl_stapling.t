# What an OCSP responder says of our certificate is shown with it: from a file, asked for by the manager, asked for anew.
use lib 't/lib';
use Weir;
use Weir::Pem;
use IO::Socket::SSL;

plan(skip_all => 'nginx has no manager') if ($ENV{WEIR_BINARY} // '') =~ /nginx[^\/]*$/;
my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->ca('other');
my $responder = Weir::free_port();
sub issue {
    my ($name, %o) = @_;
    $pem->issue($name, by => 'ca', names => ["$name.test"])->reissue($name, by => 'ca', %o);
    $pem->write("$name.chain", $pem->read("$name.pem") . $pem->read('ca.pem'));
}
my $url = "http://127.0.0.1:$responder";
issue('good', serial => 17, url => $url);
issue('next', serial => 18, url => $url);
issue('bad', serial => 19, url => $url);
issue('mute', serial => 20);
$pem->serials('index.txt', good => 17, next => 18, bad => -19, mute => 20);
$pem->openssl(qw(ocsp -index index.txt -rsigner ca.pem -rkey ca.key -CA ca.pem -issuer ca.pem -cert good.pem -ndays 7 -respout good.der -noverify));

my $stranger = Weir::free_port();
ok($pem->responder($responder, by => 'ca', index => 'index.txt', days => 7), 'a responder');
ok($pem->responder($stranger, by => 'ca', index => 'index.txt', days => 7, signer => 'other'), 'one that signs with a key of another');

my %files = map { $_ => $pem->read($_) } qw(ca.pem good.chain good.key bad.chain bad.key mute.chain mute.key mute.pem good.pem good.der);
my $conf = <<'EOC';
worker_processes 2;
events { }
http {
    ssl_stapling on;
    server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate good.chain; ssl_certificate_key good.key; ssl_stapling_file good.der; ssl_stapling_responder http://127.0.0.1:1/; return 200 $pid; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; ssl_certificate good.chain; ssl_certificate_key good.key; ssl_stapling_verify on; ssl_trusted_certificate ca.pem; %%WATCH%% return 200 $pid; }
    server { listen 127.0.0.1:%%PORT_2%% ssl; ssl_certificate bad.chain; ssl_certificate_key bad.key; return 200 $pid; }
    server { listen 127.0.0.1:%%PORT_3%% ssl; ssl_certificate mute.chain; ssl_certificate_key mute.key; return 200 $pid; }
    server { listen 127.0.0.1:%%PORT_4%% ssl; ssl_certificate mute.pem; ssl_certificate_key mute.key; ssl_stapling_responder http://localhost:%%RESPONDER%%/; ssl_trusted_certificate ca.pem; return 200 $pid; }
    server { listen 127.0.0.1:%%PORT_5%% ssl; ssl_certificate good.pem; ssl_certificate_key good.key; ssl_stapling_responder http://127.0.0.1:%%RESPONDER%%/; return 200 $pid; }
    server { listen 127.0.0.1:%%PORT_6%% ssl; ssl_certificate good.chain; ssl_certificate_key good.key; ssl_stapling_verify on; ssl_trusted_certificate ca.pem; ssl_stapling_responder http://127.0.0.1:%%STRANGER%%/; return 200 $pid; }
    server { listen 127.0.0.1:%%PORT_7%% ssl; ssl_certificate good.chain; ssl_certificate_key good.key; ssl_stapling off; return 200 $pid; }
}
EOC
our $w = Weir->new(vars => { WATCH => 'ssl_certificate_watch on;', RESPONDER => $responder, STRANGER => $stranger }, files => \%files, conf => $conf)->start;
sub staple {        # what a client sees
    my ($port) = @_;
    my $to = $w->port($port);
    my $said = `timeout 10 openssl s_client -connect 127.0.0.1:$to -status </dev/null 2>/dev/null`;
    return 'none' if $said =~ /OCSP response: no response sent/;
    my ($serial) = $said =~ /Serial Number: (\w+)/;
    return $said =~ /Cert Status: (\w+)/ ? "$1 $serial" : '?';
}
is(staple(0), 'good 11', 'of a file, though there is a responder');
ok(wait_for(sub { staple(1) eq 'good 11' }), 'asked for by the manager, and verified') or diag($w->error_log);
is(join(' ', map { staple(1) } 1 .. 12), join(' ', ('good 11') x 12), 'every worker shows it');
ok(wait_for(sub { staple(4) eq 'good 14' }), 'of a responder that the configuration names, by a trusted issuer') or diag($w->error_log);
ok($w->wait_error(qr/\[error\].*revoked while requesting certificate status, responder: \Q$url\E/), 'a revoked certificate is told of');
is(staple(2), 'none', 'and not shown');
is(staple(3), 'none', 'no responder');
is(staple(5), 'none', 'no issuer');
like($w->error_log . Weir::slurp($w->dir . '/stderr'), qr/\[warn\].*"ssl_stapling" ignored, no OCSP responder URL in the certificate ".*mute/, 'said');
like($w->error_log . Weir::slurp($w->dir . '/stderr'), qr/\[warn\].*"ssl_stapling" ignored, issuer certificate not found for certificate ".*good/, 'said');
ok($w->wait_error(qr/\[error\].*OCSP_basic_verify\(\) failed/), 'signed by whom we do not trust: told of');
is(staple(6), 'none', 'signed by whom we do not trust: not shown');
is(staple(7), 'none', 'off');

# ---- nginx shows the same, if not with the first handshake
sub shown { my ($x, $n) = @_; local $w = $x; wait_for(sub { staple($n) ne 'none' }, $_[2]); return staple($n) }
{
    my $theirs = Weir->new(binary => $Weir::nginx, vars => { WATCH => '', RESPONDER => $responder, STRANGER => $stranger }, files => \%files, conf => $conf)->start;
    my %expected = (0 => 'good 11', 1 => 'good 11', 2 => 'none', 3 => 'none', 4 => 'good 14', 5 => 'none', 6 => 'none', 7 => 'none');
    is(shown($theirs, $_, $expected{$_} eq 'none' ? 0.5 : 10), $expected{$_}, "nginx: server $_") for sort keys %expected;
}

# ---- a certificate that changes while the server runs
$w->write_file('good.chain', $pem->read('next.chain'));
$w->write_file('good.key', $pem->read('next.key'));
ok(wait_for(sub { staple(1) eq 'good 12' }, 20), 'the answer changes with the certificate') or diag(staple(1), $w->error_log);

# ---- nobody answers; an answer that is none
my $dead = Weir::free_port();
my $odd = Weir->new(vars => { DEAD => $dead, ODD => Weir::Backend->new(sub { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nodd" })->addr }, files => { map { $_ => $pem->read($_) } qw(good.chain good.key bad.chain bad.key) }, conf => <<'EOC')->start;
events { }
http { ssl_stapling on;
    server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate good.chain; ssl_certificate_key good.key; ssl_stapling_responder http://127.0.0.1:%%DEAD%%/; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; ssl_certificate bad.chain; ssl_certificate_key bad.key; ssl_stapling_responder http://%%ODD%%/path; } }
EOC
ok($odd->wait_error(qr/\[error\].*Connection refused.* while requesting certificate status/), 'a responder that is not there');
ok($odd->wait_error(qr/\[error\].*d2i_OCSP_RESPONSE\(\) failed.* while requesting certificate status/), 'one that says nonsense');
$w = $odd;
is(staple($_), 'none', 'nothing is shown') for 0, 1;
$pem->responders_end;
done_testing;
