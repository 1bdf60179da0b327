# ACME: renewal in time, and when the server says so; reloads, killed managers and another binary while an order is under way; accounts
# that are bound to others.
use lib 't/lib';
use Weir;
use Weir::FakeAcme;
use Weir::Pebble;
use JSON;
use MIME::Base64 qw(decode_base64url encode_base64url);
use POSIX qw(strftime);

plan(skip_all => 'nginx has it as a module of its own') if ($ENV{WEIR_BINARY} // '') =~ /nginx[^\/]*$/;
plan(skip_all => 'no pebble') unless Weir::Pebble::there();
sub serial {
    my ($w, $name, $port) = @_;
    my $to = $w->port($port);
    return `timeout 20 openssl s_client -connect 127.0.0.1:$to -servername $name </dev/null 2>/dev/null | openssl x509 -noout -issuer -serial 2>/dev/null` =~ /CN = (Pebble|root).*serial=(\w+)/s ? $2 : '';
}
sub manager { my $w = shift; return (grep { Weir::title($_) =~ /manager process$/ } Weir::children($w->pid))[0] }

# ---- when the server says so (RFC 9773)
my $iso = sub { strftime '%Y-%m-%dT%H:%M:%SZ', gmtime $_[0] };
my $window = sub { my ($from, $to, @more) = @_; return [200, { 'Retry-After' => 7200 }, { suggestedWindow => { start => $iso->($from), end => $iso->($to) }, @more }] };
my $fake = Weir::FakeAcme->new(
    ari   => { life => 86400, window => sub { my ($r, $p, $n) = @_; $n == 0 ? $window->(time + 5000, time + 5001, explanationURL => 'https://ca.test/why') : $window->(time + 70000, time + 80000) } },
    soon  => { life => 60, window => sub { my ($r, $p, $n) = @_; $n == 0 ? $window->(time - 20, time - 10) : $window->(time + 40, time + 50) } },
    alone => { life => 60, window => sub { my ($r, $p, $n) = @_; $n == 0 ? $window->(time - 20, time - 10) : $window->(time + 40, time + 50) },
        order => sub { my ($r, $p, $n) = @_; $p->{replaces} ? [409, {}, { type => 'urn:ietf:params:acme:error:alreadyReplaced', detail => 'done' }] : undef } },
    none  => { life => 86400, window => [500, {}, {}], meta => { profiles => { short => 'x' } } },
);
my $w = Weir->new(conf => <<"EOC")->start;
events { }
http {
    ssl_certificate \$acme_certificate; ssl_certificate_key \$acme_certificate_key;
@{[join '', map { "    acme_issuer $_ { uri @{[$fake->uri($_)]}; ssl_trusted_certificate @{[$fake->trusted]}; retry_interval 2s; @{[$_ eq 'none' ? 'profile short require;' : $_ eq 'ari' ? 'profile other; common_name_in_csr on;' : '']} }
    server { listen 127.0.0.1:%%PORT_0%% ssl; server_name $_.test; acme_certificate $_; return 200 x; }\n" } qw(ari soon alone none)]}
}
EOC
ok($w->wait_error(qr/\[notice\].*certificate "ari\.test-\w+": "ari" wants it renewed in (49\d\d|5000) s: see https:\/\/ca\.test\/why/, 30), 'the server says when, and why') or diag $w->error_log;
ok($w->wait_error(qr/\[warn\].*certificate "none\.test-\w+": when to renew it could not be asked of "none": status 500/, 30), 'one that does not is told of') or diag $w->error_log;
ok($w->wait_error(qr/(?:certificate "soon\.test-\w+" was issued.*){2}/s, 40), 'a window that is past: at once') or diag $w->error_log;
my @orders = $fake->asked('soon', 'order');
is($orders[0]{replaces}, undef, 'the first replaces none');
like($orders[1]{replaces} // '', qr/^[\w-]{27}\.AIA[\w-]+$/, 'the second replaces the first');
is($fake->path_of('soon', 'window', 0), "/soon/window/" . ($orders[1]{replaces} // '?'), 'the same name was asked for');
is(scalar(@orders), 2, 'and no third');
ok($w->wait_error(qr/(?:certificate "alone\.test-\w+" was issued.*){2}/s, 40), 'one whose replacement is refused is ordered on its own');
is(join(' ', map { $_->{replaces} ? 'replaces' : 'alone' } $fake->asked('alone', 'order')), 'alone replaces alone', 'as the server wants it');
is(($fake->asked('none', 'order'))[0]{profile}, 'short', 'the profile is asked for');
is(($fake->asked('ari', 'order'))[0]{profile}, undef, 'one that is not there is not');
like($w->error_log, qr/\[warn\].*acme issuer "ari": the server has no profile "other": its usual one is taken/, 'and that is told');
like(csr('ari'), qr/CN ?= ?ari\.test/, 'the common name is asked for');
unlike(csr('soon'), qr/CN ?=/, 'by whom that is said of');
sub csr { my ($p) = $fake->asked($_[0], 'finalize'); $w->write_file('csr.der', decode_base64url($p->{csr})); return scalar `openssl req -inform DER -in @{[$w->dir]}/csr.der -noout -subject` }
$w->stop;

# ---- at two thirds of its life; all workers follow
$w = Weir->new;
my $key = encode_base64url('secret of an external account 123');
my $ca = Weir::Pebble->new(http => $w->port(0), tls => $w->port(1), validity => 24, bind => { 'kid-1' => $key })->start;
my $conf = sub { my ($bind, $more) = @_; return <<"EOC" };
user nobody nogroup;
worker_processes 4;
events { }
http {
    acme_issuer web { uri @{[$ca->uri]}; ssl_trusted_certificate @{[$ca->trusted]}; accept_terms_of_service; $bind retry_interval 1s 2s; }
    server { listen 127.0.0.1:%%PORT_0%%; return 204; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; server_name a.test b.test c.test; acme_certificate web; ssl_certificate \$acme_certificate; ssl_certificate_key \$acme_certificate_key; return 200 \$pid; }
    $more
}
EOC
$w->write_file('eab.key', "$key\n");
$w->write_conf($conf->('external_account_key kid-1 wrong.key;', ''));
$w->write_file('wrong.key', encode_base64url('another secret') . "\n");
$w->start;
ok($w->wait_error(qr/creating the account failed: unauthorized|creating the account failed: malformed|the account is of no use/, 30), 'an external account with a wrong key is refused') or diag $w->error_log;
$w->write_conf($conf->('external_account_key kid-1 eab.key;', ''));
ok($w->reload, 'the right one');
ok(wait_for(sub { serial($w, 'a.test', 1) }, 30), 'is taken') or diag $w->error_log;
unlike($w->error_log, qr/\Q$key\E/, 'its key is in no log');
my $first = serial($w, 'a.test', 1);
ok(wait_for(sub { my $s = serial($w, 'a.test', 1); $s && $s ne $first }, 60), 'renewed before it ends') or diag $w->error_log;
unlike($w->error_log, qr/certificate "a\.test-\w+".*expired/, 'in time');
$w->stop;

# ---- while an order is under way
$ca->stop;
$ca = Weir::Pebble->new(http => $w->port(0), tls => $w->port(1), env => { PEBBLE_VA_NOSLEEP => '', PEBBLE_VA_SLEEPTIME => 5 })->start;
my $n = 0;
sub under_way {     # a new order whose names are being looked at
    my $name = 'n' . ++$n;
    my $told = $ca->said(qr/POST \/chalZ\//);
    $w->write_conf($conf->('', "server { listen 127.0.0.1:%%PORT_1%% ssl; server_name $name.test; acme_certificate web; ssl_certificate \$acme_certificate; ssl_certificate_key \$acme_certificate_key; return 200 x; }"));
    $n == 1 ? $w->start : $w->reload;
    wait_for(sub { $ca->said(qr/POST \/chalZ\//) > $told }, 30);
    return "$name.test";
}
sub orders { return $ca->said(qr/POST \/order-plz/) }
sub got { my $name = shift; return wait_for(sub { serial($w, $name, 1) }, 60) }
my $name = under_way();
ok(got('a.test') && got($name), 'certificates') or diag $w->error_log;
my $before = $ca->said(qr/Added order/);
$name = under_way();
ok($w->reload, 'a reload, while an order is under way');
ok(got($name), 'it is got') or diag $w->error_log;
is($ca->said(qr/Added order/), $before + 1, 'by the order that was there');
$name = under_way();
my $old = manager($w);
kill KILL => $old;
ok(got($name), 'the manager is killed: it is got') or diag $w->error_log;
is($ca->said(qr/Added order/), $before + 2, 'by the order that was there');
like($w->error_log, qr/\[notice\].*certificate "n\d\.test-\w+": the order under way is gone on with/, 'which is told');
done_testing;
