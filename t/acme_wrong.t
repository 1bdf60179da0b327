# ACME servers that answer wrongly, too much, or with a no: each costs that certificate a while, is told in one line, and harms nobody else.
use lib 't/lib';
use Weir;
use Weir::FakeAcme;
use MIME::Base64 qw(encode_base64url);

plan(skip_all => 'nginx has it as a module of its own') if ($ENV{WEIR_BINARY} // '') =~ /nginx[^\/]*$/;
my $problem = sub { my ($status, $type, $detail, @more) = @_; return [$status, { @more }, { type => "urn:ietf:params:acme:error:$type", detail => $detail }] };
my %case = (
    garbage   => { directory => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 6\r\n\r\n{\"new\"" },
    page      => { directory => [200, { 'Content-Type' => 'text/html' }, '<html>welcome</html>'] },
    nohttp    => { directory => "HTTP/1.1 twohundred OK\r\n\r\n" },
    huge      => { directory => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900000000\r\n\r\n{" },
    endless   => { directory => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" . ' ' x 300000 },
    moved     => { directory => [302, { Location => '/moved/directory' }, ''] },
    plain     => { directory => { newOrder => 'http://127.0.0.1/' } },
    nononce   => { nonce => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" },
    oddnonce  => { nonce => "HTTP/1.1 200 OK\r\nReplay-Nonce: a\"b\r\nContent-Length: 0\r\n\r\n" },
    badnonce  => { account => $problem->(400, 'badNonce', 'never good') },
    external  => { meta => { externalAccountRequired => JSON::true } },
    terms     => { meta => { termsOfService => 'https://ca.test/terms' }, account => $problem->(403, 'userActionRequired', 'agree first') },
    closed    => { order => $problem->(403, 'unauthorized', 'the account is deactivated') },
    noplace   => { account => [201, { Location => 'gopher://x' }, { status => 'valid' }] },
    rejected  => { order => $problem->(400, 'rejectedIdentifier', "not\r\n[alert] yours \x1b[31m") },
    limited   => { order => $problem->(429, 'rateLimited', 'too many', 'Retry-After' => 3000) },
    other     => { authorization => { identifier => { type => 'dns', value => 'elsewhere.test' }, status => 'pending' }, order => { status => 'pending' } },
    offer     => { authorization => { status => 'pending', challenges => [{ type => 'dns-01', status => 'pending', url => 'https://127.0.0.1/c', token => 'x' }] }, order => { status => 'pending' } },
    token     => { authorization => { status => 'pending', challenges => [{ type => 'http-01', status => 'pending', url => 'https://127.0.0.1/c', token => '../../etc' }] }, order => { status => 'pending' } },
    invalid   => { order => { status => 'invalid', error => { type => 'urn:ietf:params:acme:error:caa', detail => 'not by us' } } },
    csr       => { finalize => $problem->(400, 'badCSR', 'no') },
    type      => { certificate => [200, { 'Content-Type' => 'application/pkix-cert' }, 'x'] },
    junk      => { certificate => [200, { 'Content-Type' => 'application/pem-certificate-chain' }, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] },
    foreign   => { certificate => sub { [200, { 'Content-Type' => 'application/pem-certificate-chain' }, Weir::slurp(Weir::scratch() . '/foreign.pem')] } },
    down      => { order => "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2000\r\nContent-Length: 4\r\n\r\nbusy" },
    profile   => { meta => { profiles => { classic => 'x' } } },
    good      => {},
    stranger  => {},
);
my $ca = Weir::FakeAcme->new(%case);
$ca->{pem}->write('../foreign.pem', $ca->{pem}->read('minica.pem'));
my %more = (profile => 'profile short require;', external => '');
my $w;
sub with {      # a few at a time: each answer is a process
    my ($issuers, $servers) = ('', '');
    for my $name (@_) {
        my $terms = $name eq 'terms' ? '' : 'accept_terms_of_service;';
        my $trusted = $name eq 'stranger' ? '' : "ssl_trusted_certificate @{[$ca->trusted]};";
        $issuers .= "    acme_issuer $name { uri @{[$ca->uri($name)]}; $trusted $terms retry_interval 60s 10m; @{[$more{$name} // '']} }\n";
        $servers .= "    server { listen 127.0.0.1:%%PORT_0%% ssl; server_name $name.test; acme_certificate $name; return 200 $name; }\n";
    }
    $w->stop if $w;
    $w = Weir->new(conf => <<"EOC")->start;
worker_processes 2;
events { }
http {
    ssl_certificate \$acme_certificate; ssl_certificate_key \$acme_certificate_key;
$issuers$servers}
EOC
}
sub failed { my ($name, $re) = @_; return $w->wait_error(qr/\[error\][^\n]*certificate "\Q$name\E\.test-\w+" of "$name": [^\n]*failed: $re; again in (\d+) s\n/, 30) }
sub fails { my ($name, $re, $why) = @_; ok(failed($name, $re), "$name: $why") or diag join "\n", grep { /"\Q$name\E[."]/ } split /\n/, $w->error_log }
my $url = qr/https:\S+/;
with(qw(garbage page nohttp huge endless moved));
fails('garbage', qr/$url: the directory is no JSON object/, 'half of an object');
fails('page', qr/$url: the directory is no JSON object/, 'a page for people');
fails('nohttp', qr/$url: the answer has [^\n]*/, 'another protocol');
fails('huge', qr/$url: the answer's body is larger than 131072 bytes/, 'it says that it will be large');
fails('endless', qr/$url: the answer's body is larger than 131072 bytes/, 'it is large');
fails('moved', qr/$url answered with status 302: redirections are not followed/, 'a circle');
with(qw(plain nononce oddnonce badnonce external terms));
fails('plain', qr/$url: the directory lacks newNonce, newAccount or newOrder, or they are no https addresses/, 'an address without TLS');
fails('nononce', qr/$url answered with status 200 and no good nonce/, 'no nonce');
fails('oddnonce', qr/$url answered with status 200 and no good nonce/, 'one that is none');
fails('badnonce', qr/badNonce: never good/, 'no nonce is good');
cmp_ok(scalar(my @n = $ca->asked('badnonce', 'account')), '<=', 13, 'it is tried so often and not for ever');
fails('external', qr/the server wants to know of another account with it: "external_account_key" is needed/, 'it wants an external account');
fails('terms', qr/userActionRequired: agree first \(its terms of service are at https:\/\/ca\.test\/terms; "accept_terms_of_service" agrees to them\)/, 'it wants its terms agreed to');
with(qw(closed noplace rejected limited other));
fails('closed', qr/the account is of no use \(the account is deactivated\)/, 'the account was deactivated');
is(scalar(my @o = $ca->asked('closed', 'account')), 2, 'a new one was made first, once');
like($w->error_log, qr/\[warn\].*acme issuer "closed": the account is of no use \(the account is deactivated\): a new one is made/, 'which was told');
fails('noplace', qr/the account has no good address/, 'an account that is nowhere');
fails('rejected', qr/rejectedIdentifier: not\?\?\[alert\] yours \?\[31m/, 'a no, fit for the log');
$w->expect_log(qr/rejectedIdentifier: not/);
fails('limited', qr/rateLimited: too many/, 'too much');
ok($w->error_log =~ /"limited": ordering it failed: rateLimited: too many; again in (\d+) s/ && $1 >= 3000, 'limited: later, as it says') or diag $1 // '';
fails('other', qr/an authorization is for another name than was asked for/, 'a name that is not ours');
with(qw(offer token invalid csr type junk));
fails('offer', qr/the server offers no challenge "http-01" for "offer\.test"/, 'no challenge that we can answer');
fails('token', qr/the challenge has no good token/, 'a token that leads elsewhere');
fails('invalid', qr/the order is invalid: caa: not by us/, 'an order that is not to be');
fails('csr', qr/badCSR: no/, 'a request that it does not like');
fails('type', qr/the certificate came as another type than application\/pem-certificate-chain/, 'another type');
fails('junk', qr/the certificate that came is not taken: it is no chain of certificates in PEM/, 'no certificate');
with(qw(foreign down profile stranger good));
fails('foreign', qr/the certificate that came is not taken: its key is not the one that was asked for/, 'one of another key');
fails('down', qr/status 503/, 'busy');
ok($w->error_log =~ /"down": ordering it failed: status 503; again in (\d+) s/ && $1 >= 2000, 'down: later, as it says');
fails('profile', qr/the server has no profile "short"/, 'a profile that is required');
fails('stranger', qr/$url: upstream SSL certificate verify error: [^\n]*/, 'whom we do not trust');
ok($w->wait_error(qr/certificate "good\.test-\w+" was issued by "good"/), 'the good one is got all the same');
done_testing;
