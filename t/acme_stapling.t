# A certificate that comes while the server runs is stapled, though the one before it, of our own, could not be.
use lib 't/lib';
use Weir;
use Weir::FakeAcme;

plan(skip_all => 'nginx has it as a module of its own') if ($ENV{WEIR_BINARY} // '') =~ /nginx[^\/]*$/;
my $port = Weir::free_port();
my $fake = Weir::FakeAcme->new(named => { ocsp => "http://127.0.0.1:$port/" }, plain => {});
my $pem = $fake->{pem};
$pem->write('ca.index', sprintf "V\t301231000000Z\t\t80%014X\tunknown\t/CN=named\n", 1);
$pem->responder($port, by => 'root', index => 'ca.index');
my $w = Weir->new(conf => <<"EOC")->start;
worker_processes 2;
error_log error.log info;
events { }
http {
    ssl_certificate \$acme_certificate; ssl_certificate_key \$acme_certificate_key; ssl_stapling on;
@{[join '', map { "    acme_issuer $_ { uri @{[$fake->uri($_)]}; ssl_trusted_certificate @{[$fake->trusted]}; retry_interval 1s 2s; }
    server { listen 127.0.0.1:%%PORT_0%% ssl; server_name $_.test; acme_certificate $_; return 200 x; }\n" } qw(named plain)]}
}
EOC
my $early = Weir::slurp($w->dir . '/stderr') . $w->error_log;
my $to = $w->port(0);
sub shown { my ($name) = @_; return scalar `timeout 20 openssl s_client -connect 127.0.0.1:$to -servername $name -status </dev/null 2>/dev/null` }
ok(wait_for(sub { shown('named.test') =~ /Cert Status: good/ }, 60), 'what the responder says is shown, once there is a certificate that names one') or diag $w->error_log;
ok(wait_for(sub { my @s = map { shown('named.test') } 1 .. 8; 8 == grep { /Cert Status: good/ } @s }), 'by all workers');
ok($w->wait_error(qr/\[warn\].*"ssl_stapling" ignored, no OCSP responder URL in the certificate "[^"]*"/, 60), 'one that names none is told of');
unlike($early, qr/"ssl_stapling" ignored, issuer certificate not found/, 'our own is not');
like(shown('plain.test'), qr/OCSP response: no response sent/, 'and nothing is shown with it');
unlike($w->error_log, qr/while requesting certificate status/, 'nobody was asked in vain');
ok($w->reload, 'a reload');
ok(wait_for(sub { shown('named.test') =~ /Cert Status: good/ }), 'after it as well');
$pem->responders_end;
done_testing;
