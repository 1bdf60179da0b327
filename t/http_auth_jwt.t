# auth_jwt: tokens of every algorithm, made by PyJWT (t/data/jwt.json, good for decades), and many that must be refused.
use lib 't/lib';
use Weir;
use JSON::PP;
use MIME::Base64 qw(encode_base64url);
use Digest::SHA qw(hmac_sha256);

my $data = decode_json(Weir::slurp("$Weir::top/t/data/jwt.json"));
my $conf = <<'EOC';
worker_processes 1;
events { }
http {
    auth_jwt_claim_set $role deep er role;
    auth_jwt_claim_set $list deep list;
    auth_jwt_header_set $header_kid kid;
    map $jwt_claim_iss $right_issuer { https://issuer.test 1; }
    map $jwt_claim_aud $right_audience { ~(^|,)b(,|$) 1; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        auth_jwt "closed";
        auth_jwt_key_file %%TESTDIR%%/keys.json;
        location / { }
        location /off/ { auth_jwt off; add_header X-Sub "$jwt_claim_sub"; }
        location /claims/ { add_header X-Claims "$jwt_claim_sub|$jwt_claim_n|$jwt_claim_aud|$jwt_claim_yes|$jwt_claim_none|$jwt_claim_exp|$role|$list|$header_kid|$jwt_header_alg"; add_header X-Payload $jwt_payload; }
        location /cookie/ { auth_jwt "by cookie" token=$cookie_auth; }
        location /require/ { auth_jwt_require $right_issuer $right_audience; }
        location /require403/ { auth_jwt_require $jwt_claim_admin error=403; }
        location /late/ { auth_jwt_leeway 100000h; }
        location /by_issuer/ { auth_jwt_key_file %%TESTDIR%%/keys-$jwt_claim_sub.json; }
        location /two/ { auth_jwt_key_file %%TESTDIR%%/empty.json; auth_jwt_key_file %%TESTDIR%%/keys.json; }
        location /missing/ { auth_jwt_key_file %%TESTDIR%%/none.json; }
        location /broken/ { auth_jwt_key_file %%TESTDIR%%/broken.json; }
        location /changing/ { auth_jwt_key_file %%TESTDIR%%/changing.json; }
        location /any/ { satisfy any; allow 127.0.0.1; deny all; }
        location /login/ { error_page 401 = @login; }
        location @login { return 302 /sign-in?to=$request_uri; }
    }
    server { listen 127.0.0.1:%%PORT_1%%; root %%TESTDIR%%/html; auth_jwt "no keys"; }
}
EOC
my $keys = encode_json($data->{jwks});
my $w = Weir->new(conf => $conf, files => { 'keys.json' => $keys, 'keys-user-1.json' => $keys, 'empty.json' => '{"keys": []}', 'broken.json' => '{"keys": [', 'changing.json' => '{"keys": []}',
    map { ("html/$_/a" => 'in') } qw(off claims cookie require require403 late by_issuer two missing broken changing any login) })->start;
$w->write_file('html/a', 'in');
sub with { my ($uri, $token, %o) = @_; return $w->get($uri, headers => [defined $token ? (Authorization => "Bearer $token") : ()], %o) }
sub hs { my ($claims, $header) = @_; my $t = encode_base64url(encode_json($header // { alg => 'HS256' })) . '.' . encode_base64url(encode_json($claims)); my ($k) = map { $_->{k} } grep { $_->{kid} eq 'hs' } @{ $data->{jwks}{keys} }; return "$t." . encode_base64url(hmac_sha256($t, MIME::Base64::decode_base64url($k))) }

for my $name (sort keys %{ $data->{good} }) { is(with('/a', $data->{good}{$name})->status, 200, "good: $name") }
my $bad = 0;
for my $name (sort keys %{ $data->{bad} }) {
    my $from = length $w->error_log;
    my $m = with('/a', $data->{bad}{$name});
    is($m->status, 401, "bad: $name");
    is($m->header('WWW-Authenticate'), 'Bearer realm="closed",error="invalid_token"', 'the answer says so');
    my ($reason) = substr($w->error_log, $from) =~ /JWT is refused: ([^,]*), client/;
    ok($reason, 'with a reason in the log: ' . ($reason // 'none'));
    $bad++;
}
ok($bad >= 40, "$bad bad tokens");
my $good = $data->{good}{RS256};
is(with('/a')->header('WWW-Authenticate'), 'Bearer realm="closed"', 'no token');
is($w->get('/a', headers => [Authorization => "Basic $good"])->status, 401, 'another scheme');
is($w->get('/a', headers => [Authorization => "bearer   $good"])->status, 200, 'any case');
is(with('/a', 'x' x 7000)->status, 401, 'a long one');
unlike($w->error_log, qr/eyJ[A-Za-z0-9_-]{20}/, 'no token in the log');

my $m = with('/claims/a', $good);
is($m->header('X-Claims'), 'user-1|5|a,b|true||4102444800|admin|1,two|rsa|RS256', 'claims as variables');
like($m->header('X-Payload'), qr/^\{"sub":/, 'the payload');
is(with('/claims/a', $data->{bad}{'payload changed'})->header('X-Claims'), undef, 'not of a refused token');
is(with('/off/a', $good)->header('X-Sub'), undef, 'nor where tokens are not asked for');
is($w->get('/cookie/a', headers => [Cookie => "auth=$good"])->status . $w->get('/cookie/a', headers => [Authorization => "Bearer $good"])->status, '200401', 'token=');
is(with('/require/a', $good)->status, 200, 'issuer and audience');
is(with('/require/a', hs({ iss => 'https://issuer.test', aud => 'c' }))->status, 401, 'another audience');
is(with('/require/a', hs({ iss => 'https://other.test', aud => 'b' }))->status, 401, 'another issuer');
is(with('/require403/a', $good)->status . with('/require403/a', hs({ admin => \1 }))->status . with('/require403/a', hs({ admin => 0 }))->status, '403200403', 'error=403');
is(with('/a', hs({ exp => time - 5 }))->status . with('/late/a', hs({ exp => time - 5 }))->status, '401200', 'leeway for exp');
is(with('/a', hs({ nbf => time + 50 }))->status . with('/late/a', hs({ nbf => time + 50, iat => time + 60 }))->status, '401200', 'and for nbf and iat');
is(with('/by_issuer/a', $good)->status, 200, 'a key file by a claim');
is(with('/by_issuer/a', hs({ sub => 'nobody' }))->status, 401, 'where there is none');
is(with('/by_issuer/a', hs({ sub => 'x/../../keys-user-1' }))->status, 401, 'nor elsewhere');
is(with('/two/a', $good)->status, 200, 'two key files');
is(with('/missing/a', $good)->status . with('/broken/a', $good)->status, '500500', 'keys that cannot be had let nobody in');
is(with('/a', $good, port => 1)->status, 500, 'nor no keys at all');
is(with('/changing/a', $good)->status, 401, 'no such key yet');
$w->write_file('changing.json', $keys);
is(with('/changing/a', $good)->status, 200, 'the file has changed');
$w->write_file('changing.json', '{"keys": [ ]}');
is(with('/changing/a', $good)->status, 401, 'and again');
is(with('/any/a')->status, 200, 'satisfy any');
$m = with('/login/a');
is($m->status . ' ' . ($m->header('Location') =~ s{http://[^/]*}{}r), '302 /sign-in?to=/login/a', 'a redirect to a login page');

for (['auth_jwt x tok;', 'invalid parameter "tok"'], ['auth_jwt_require $uri error=500;', 'invalid parameter "error=500"'], ['auth_jwt_require error=401;', 'needs a value']) {
    my ($line, $why) = @$_;
    my $wrong = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%%; $line } }\n");
    my ($code, $said) = $wrong->t_binary;
    is($code, 1, "$line is refused");
    like($said, qr/\Q$why\E/, $why);
    $wrong->expect_log(qr/emerg/);
}
done_testing;
