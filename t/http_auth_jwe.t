# auth_jwt with encrypted and nested tokens (t/data/jwe.json: made by jwcrypto and python3-cryptography), keys by subrequests, auth_require.
use lib 't/lib';
use Weir;
use JSON::PP;

my $data = decode_json(Weir::slurp("$Weir::top/t/data/jwe.json"));
my $signed = decode_json(Weir::slurp("$Weir::top/t/data/jwt.json"));
my $conf = <<'EOC';
worker_processes 1;
events { }
http {
    auth_jwt_claim_set $role deep role;
    auth_jwt_header_set $outer_enc enc;
    map $http_x_user $user { default ""; ~^(?<u>.+)$ $u; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        subrequest_output_buffer_size 64k;
        location /enc/ { auth_jwt "closed"; auth_jwt_type encrypted; auth_jwt_key_file %%TESTDIR%%/keys.json; add_header X-Seen "$jwt_claim_sub|$jwt_claim_n|$role|$jwt_header_alg|$outer_enc"; add_header X-Payload $jwt_payload; }
        location /nested/ { auth_jwt "closed"; auth_jwt_type nested; auth_jwt_key_file %%TESTDIR%%/keys.json; add_header X-Seen "$jwt_claim_sub|$role|$jwt_header_alg"; add_header X-Payload $jwt_payload; }
        location /sig/ { auth_jwt "closed"; auth_jwt_key_file %%TESTDIR%%/keys.json; }

        location /asked/ { auth_jwt "closed"; auth_jwt_key_request /keys; }
        location /kept/ { auth_jwt "closed"; auth_jwt_key_cache 1h; auth_jwt_key_request /keys?kept; }
        location /short/ { auth_jwt "closed"; auth_jwt_key_cache 1ms; auth_jwt_key_request /keys?short; }
        location /twice/ { auth_jwt "closed"; auth_jwt_key_request /keys?empty; auth_jwt_key_request /keys?second; }
        location /both/ { auth_jwt "closed"; auth_jwt_key_file %%TESTDIR%%/empty.json; auth_jwt_key_request /keys?both; }
        location /by_kid/ { auth_jwt "closed"; auth_jwt_key_request /kid-$jwt_header_kid; auth_jwt_key_cache 1h; }
        location /by_sub/ { auth_jwt "closed"; auth_jwt_key_request /sub/$jwt_claim_sub; }
        location /gone/ { auth_jwt "closed"; auth_jwt_key_request /keys?404; }
        location /broken/ { auth_jwt "closed"; auth_jwt_key_request /keys?broken; }
        location /down/ { auth_jwt "closed"; auth_jwt_key_request /nobody; }
        location /big/ { auth_jwt "closed"; auth_jwt_key_request /small_buffer; }
        location /enc_asked/ { auth_jwt "closed"; auth_jwt_type encrypted; auth_jwt_key_request /keys?jwe; }
        location /any/ { satisfy any; deny all; auth_jwt "closed"; auth_jwt_key_request /keys?any; }
        location /keys { internal; proxy_pass http://%%UP%%; proxy_set_header Authorization ""; }
        location /kid- { internal; proxy_pass http://%%UP%%; }
        location /sub/ { internal; proxy_pass http://%%UP%%; }
        location /small_buffer { internal; subrequest_output_buffer_size 1k; proxy_pass http://%%UP%%/keys; }
        location /nobody { internal; proxy_pass http://127.0.0.1:1; }

        location /need/ { auth_require $user $arg_ok; alias %%TESTDIR%%/html/; }
        location /need/off/ { auth_require off; alias %%TESTDIR%%/html/; }
        location /need/402/ { auth_require $user error=402; auth_require $arg_ok error=503; alias %%TESTDIR%%/html/; }
        location /need/any/ { satisfy any; deny all; auth_require $user; alias %%TESTDIR%%/html/; }
        location /need/jwt/ { auth_jwt "closed"; auth_jwt_key_file %%TESTDIR%%/signed.json; auth_require $jwt_claim_yes error=451; alias %%TESTDIR%%/html/; }
    }
    server { listen 127.0.0.1:%%PORT_1%%; root %%TESTDIR%%/html; auth_jwt "closed"; auth_jwt_key_cache 1h; auth_jwt_key_request /keys; location = /keys { return 200 '{"keys": []}'; } }
}
EOC
my ($jwe_keys, $keys) = map { encode_json($_->{jwks}) } $data, $signed;
my $up = Weir::Backend->new(sub {
    my $req = shift;
    my $uri = $req->uri;
    return [404, [], 'none'] if $uri =~ /404/;
    return [200, [], $uri =~ /jwe/ ? $jwe_keys : $uri =~ /empty/ ? '{"keys": []}' : $uri =~ /broken/ ? '{"keys": ' : $uri =~ m{^/kid-(?!rsa$)|^/sub/(?!user-1$)} ? '{"keys": []}' : $keys];
});
my $w = Weir->new(conf => $conf, vars => { UP => $up->addr }, files => { 'keys.json' => $jwe_keys, 'signed.json' => $keys, 'empty.json' => '{"keys": []}', 'html/a' => 'in',
    map { ("html/$_/a" => 'in') } qw(enc nested sig asked kept short twice both by_kid by_sub gone broken down big enc_asked any) })->start;
sub with { my ($uri, $token, %o) = @_; return $w->get($uri, headers => [defined $token ? (Authorization => "Bearer $token") : ()], %o) }
sub refused {
    my ($uri, $name, $token, $want) = @_;
    my $from = length $w->error_log;
    my $m = with($uri, $token);
    is($m->status, 401, "bad: $name");
    is($m->header('WWW-Authenticate'), 'Bearer realm="closed",error="invalid_token"', 'the answer says so');
    my ($reason) = substr($w->error_log, $from) =~ /JWT is refused: ([^,]*), client/;
    ok($reason, 'with a reason in the log: ' . ($reason // 'none'));
    is($m->header('X-Seen'), undef, 'nothing of it is seen');
}

# Encrypted.
for my $name (sort keys %{ $data->{good} }) { is(with('/enc/a', $data->{good}{$name})->status, 200, "good: $name") }
my $good = $data->{good}{'A128KW A128GCM'};
my $m = with('/enc/a', $good);
is($m->header('X-Seen'), 'user-1|5|admin|A128KW|A128GCM', 'claims and header');
is(decode_json($m->header('X-Payload'))->{sub}, 'user-1', '$jwt_payload is the claims');
my %bad = %{ $data->{bad} };
refused('/enc/a', $_, $bad{$_}) for sort keys %bad;
ok(keys %bad >= 35, scalar(keys %bad) . ' bad tokens');
is(with('/sig/a', $good)->status, 401, 'an encrypted one where signed ones are asked for');

# Nested.
for my $name (sort keys %{ $data->{nested} }) { is(with('/nested/a', $data->{nested}{$name})->status, 200, "nested: $name") }
$m = with('/nested/a', $data->{nested}{'ES256 in A128KW'});
is($m->header('X-Seen'), 'user-1|admin|ES256', 'claims and header of the inner token');
like($m->header('X-Payload'), qr/^eyJ[\w-]+\.[\w-]+\.[\w-]+$/, '$jwt_payload is the signed token');
refused('/nested/a', "nested: $_", $data->{nested_bad}{$_}) for sort keys %{ $data->{nested_bad} };
unlike($w->error_log, qr/eyJ[A-Za-z0-9_-]{20}/, 'no token in the log');

# Keys by subrequests.
my $rs = $signed->{good}{RS256};
my $seen = $up->requests;
sub asked { my $n = $up->requests - $seen; $seen = $up->requests; return $n }
is(join(' ', map { with('/asked/a', $rs)->status } 1 .. 3) . ' ' . asked(), '200 200 200 3', 'asked for every time');
is(join(' ', map { with('/kept/a', $rs)->status } 1 .. 5) . ' ' . asked(), '200 200 200 200 200 1', 'kept: asked for once');
is(with('/kept/a', $signed->{bad}{'payload changed'})->status . asked(), '4010', 'and tokens are still looked at');
is(with('/kept/a')->status . asked() . with('/asked/a', 'x.y.z')->status . asked(), '40104010', 'nobody is asked for no token, nor for a malformed one');
is(with('/short/a', $rs)->status, 200, 'kept for a moment');
asked();
ok(wait_for(sub { with('/short/a', $rs); asked() }), 'and asked for again');
is(with('/twice/a', $rs)->status . asked(), '2002', 'two requests');
is(with('/both/a', $rs)->status . asked(), '2001', 'a file and a request');
is(with('/by_kid/a', $rs)->status . with('/by_kid/a', $rs)->status . asked(), '2002002', 'a uri with variables is not kept');
is(with('/by_sub/a', $rs)->status . asked(), '2001', 'a uri by a claim');
is(with('/gone/a', $rs)->status . with('/broken/a', $rs)->status . with('/down/a', $rs)->status, '500500500', 'keys that cannot be had let nobody in');
like($w->error_log, qr/keys of "\/keys" cannot be had: the answer is not 200/, 'which is said');
ok(!with('/big/a', $rs), 'nor do too many');
like($w->error_log, qr/too big subrequest response/, 'and so is this');
asked();
is(with('/enc_asked/a', $good)->status . asked(), '2001', 'keys to decrypt');
is(with('/any/a', $rs)->status . with('/any/a', 'x.y.z')->status, '200401', 'satisfy any');
is(with('/a', $rs, port => 1)->status, 401, 'the same uri in another server is another one');

# auth_require.
sub need { my ($uri, @user) = @_; return $w->get("/need/$uri", headers => [map { ('X-User', $_) } @user])->status }
is(join(' ', need('a?ok=1', 'me'), need('a', 'me'), need('a?ok=0', 'me'), need('a?ok=1')), '200 403 403 403', 'auth_require');
is(join(' ', need('off/a'), need('402/a'), need('402/a', 'me'), need('402/a?ok=1', 'me')), '200 402 503 200', 'off and error=');
is(join(' ', need('any/a'), need('any/a', 'me')), '403 200', 'with satisfy any');
is(with('/need/jwt/a', $rs)->status . with('/need/jwt/a', $signed->{good}{HS256})->status . with('/need/jwt/a')->status, '200200401', 'a claim');
for (['auth_jwt_type none;', 'invalid value "none"'], ['auth_jwt_key_request keys;', 'invalid value'], ['auth_require $uri error=200;', 'invalid parameter "error=200"'], ['auth_require error=401;', 'needs a value'],
    ['auth_require off; auth_require $uri;', 'is duplicate']) {
    my ($line, $why) = @$_;
    my $wrong = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%%; $line } }\n");
    my ($code, $said) = $wrong->t_binary;
    is($code, 1, "$line is refused");
    like($said, qr/\Q$why\E/, $why);
    $wrong->expect_log(qr/emerg/);
}
done_testing;
