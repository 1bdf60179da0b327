# Users of the forward proxy known by a bearer token (auth_jwt): 407, rules about claims, tunnels; the token goes to nobody.
use lib 't/lib';
use Weir;
use MIME::Base64 qw(encode_base64 encode_base64url);
use Digest::SHA qw(hmac_sha256);

my $origin = Weir::Backend->new(sub { my $req = shift; return $req->head });
sub token { my ($claims, $key) = @_; my $s = join '.', map { encode_base64url($_) } '{"alg":"HS256","kid":"one"}', $claims; return "$s." . encode_base64url(hmac_sha256($s, $key // 'secret of 32 bytes, or even more.')) }
my $w = Weir->new(vars => { BACK => $origin->port }, files => { 'keys.json' => '{"keys":[{"kty":"oct","kid":"one","alg":"HS256","k":"' . encode_base64url('secret of 32 bytes, or even more.') . '"}]}' }, conf => <<'EOC')->start;
events { }
http {
    log_format who '$jwt_claim_sub $request_method $status $forward_proxy_rule $forward_proxy_address $forward_proxy_bytes_up';
    access_log %%TESTDIR%%/access.log who;
    map $jwt_claim_role $is_admin { admin 1; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%% socks;
        forward_proxy on;
        forward_proxy_ports %%BACK%%;
        forward_proxy_address allow loopback;
        forward_proxy_user $jwt_claim_sub;
        auth_jwt "the proxy";
        auth_jwt_key_file %%TESTDIR%%/keys.json;
        forward_proxy_access deny  name=bobs user=bob path=/secret;
        forward_proxy_access allow name=admins if=$is_admin;
        forward_proxy_access deny  name=others path=/admin;
        forward_proxy_access allow name=users user=*;
    }
}
EOC
my $o = $origin->addr;
sub ask { my ($line, @fields) = @_; my $c = $w->connect; $c->send(join "\r\n", "$line HTTP/1.1", "Host: $o", @fields, '', ''); return $c->response(method => $line =~ /^(\S+)/) }
sub bearer { return 'Proxy-Authorization: Bearer ' . token(@_) }

my $r = ask("GET http://$o/");
is($r->status, 407, 'no token');
is($r->header('Proxy-Authenticate'), 'Bearer realm="the proxy"', 'what is asked for');
is($r->header('WWW-Authenticate'), undef, 'and nothing else');
$r = ask("GET http://$o/", bearer('{"sub":"alice"}'), 'Authorization: Bearer for-the-origin');
is($r->status, 200, 'a token');
unlike($r->body, qr/^Proxy-Auth/mi, 'the origin does not see it');
like($r->body, qr/^Authorization: Bearer for-the-origin\r$/m, 'but its own');
is(ask("GET http://$o/", 'Authorization: Bearer ' . token('{"sub":"alice"}'))->status, 407, 'a token that is for the origin');
for (['another key', bearer('{"sub":"alice"}', 'another')], ['expired', bearer('{"sub":"alice","exp":1000000000}')], ['no token at all', 'Proxy-Authorization: Bearer x'],
     ['no signature', 'Proxy-Authorization: Bearer ' . encode_base64url('{"alg":"none"}') . '.' . encode_base64url('{"sub":"alice"}') . '.'], ['Basic', 'Proxy-Authorization: Basic ' . encode_base64('alice:x', '')]) {
    is(ask("GET http://$o/", $_->[1])->status, 407, $_->[0]);
}
is(ask("GET http://$o/secret", bearer('{"sub":"bob"}'))->status, 403, 'a rule about the user');
is(ask("GET http://$o/secret", bearer('{"sub":"alice"}'))->status, 200, 'about another one');
is(ask("GET http://$o/admin", bearer('{"sub":"alice"}'))->status, 403, 'a rule about a claim');
is(ask("GET http://$o/admin", bearer('{"sub":"carol","role":"admin"}'))->status, 200, 'that holds');
is(ask("CONNECT $o")->status, 407, 'a tunnel without');
{
    my $c = $w->connect;
    $c->send("CONNECT $o HTTP/1.1\r\nHost: $o\r\n" . bearer('{"sub":"dave"}') . "\r\n\r\n");
    is($c->response(method => 'CONNECT')->status, 200, 'a tunnel with one');
    $c->send("GET /in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    like($c->rest, qr{^HTTP/1\.1 200 }, 'through it');
}
ok(wait_for(sub { $w->access_log =~ /^dave CONNECT 200 users \Q$o\E [1-9]\d*$/m }), 'whose it was is known when it ends') or diag($w->access_log);
{
    my $c = $w->connect(port => $w->port(1));
    $c->send("\5\1\0\5\1\0\1\x7f\0\0\1" . pack 'n', $origin->port);
    is($c->rest, "\5\0\5\2\0\1" . "\0" x 6, 'SOCKS has no tokens');
}
done_testing;
