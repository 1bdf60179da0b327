# secure_link: both of nginx's ways, and by HMAC.
use lib 't/lib';
use Weir;
use Weir::Compare;
use Digest::MD5 qw(md5_base64 md5_hex);
use Digest::SHA qw(hmac_sha256_base64);

my $conf = <<'EOC';
events { }
http {
    secure_link $arg_md5,$arg_expires;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /s/ { secure_link_md5 "$secure_link_expires$uri secret"; return 200 "[$secure_link|$secure_link_expires]"; }
        location /t/ { secure_link $arg_md5; secure_link_md5 "$uri secret"; return 200 "[$secure_link|$secure_link_expires]"; }
        location /no/ { return 200 "[$secure_link]"; }
        location /if/ { secure_link $arg_md5; secure_link_md5 "$uri secret"; if ($secure_link = "") { return 403; } return 200 "in"; }
    }
    server { listen 127.0.0.1:%%PORT_1%%; }
}
EOC
(my $old = $conf) =~ s/http \{.*/http {\n    server {\n        listen 127.0.0.1:%%PORT_0%%;\n        location \/p\/ { secure_link_secret word; if (\$secure_link = "") { return 403; } rewrite ^ \/inside\/\$secure_link last; }\n        location \/inside\/ { internal; return 200 "\$uri"; }\n        location \/say\/ { secure_link_secret word; return 200 "[\$secure_link]"; }\n    }\n}\n/s;
sub ask { return "GET $_[0] HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" }
sub url { my $t = $_[0]; $t =~ tr{+/}{-_}; return $t }
my ($past, $future) = (1000, 4102444800);
sub link_s { my ($uri, $when) = @_; return "$uri?md5=" . url(md5_base64("$when$uri secret")) . "&expires=$when" }
sub link_t { my ($uri, $tail) = @_; return "$uri?md5=" . url(md5_base64("$uri secret")) . ($tail // '') }

Weir->compare($conf, [ map { ($_ => ask($_)) } link_s('/s/a', $future), link_s('/s/a', $past), link_s('/s/a', $future) . '0', link_s('/s/a', 'x'), link_s('/s/a', -5), link_s('/s/a', 0), link_s('/s/a', ''), '/s/a', '/s/a?md5=x&expires=5',
    link_t('/t/b'), link_t('/t/b', '=='), link_t('/t/b', '='), link_t('/t/b', 'A'), link_t('/t/b', ',5'), link_t('/t/b', ",$future"), '/t/b?md5=', '/t/b?md5=' . 'A' x 22, '/t/b?md5=' . 'A' x 400, '/t/b', '/no/a?md5=x', link_t('/if/x'), '/if/x?md5=AAAAAAAAAAAAAAAAAAAAAA' ], differ => { link_t('/t/b', '=') => 'half a padding is none' });
Weir->compare($old, [ map { ($_ => ask($_)) } '/p/' . md5_hex('linkword') . '/link', '/p/' . uc(md5_hex('linkword')) . '/link', '/p/' . md5_hex('link') . '/link', '/p/' . md5_hex('word') . '/', '/p/x/link', '/p/', '/p/' . 'z' x 32 . '/link',
    '/p/' . md5_hex('a/b/cword') . '/a/b/c', '/p/' . md5_hex('link?a=1word') . '/link?a=1', '/p/' . md5_hex('linkword') . '/link?a=1', '/p//' . md5_hex('linkword') . '/link', '/say/' . md5_hex('a%20bword') . '/a%20b', '/say/' . md5_hex('a bword') . '/a%20b' ]);

my $w = Weir->new(conf => <<'EOC')->start;
events { }
http {
    map $arg_k $key { default one; two two; none ""; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { secure_link $arg_sig,$arg_until; secure_link_hmac "$uri|$secure_link_expires" $key; return 200 "[$secure_link]"; }
    }
}
EOC
sub signed { my ($uri, $until, $key) = @_; return "$uri?sig=" . url(hmac_sha256_base64("$uri|$until", $key)) . "&until=$until" }
is($w->get(signed('/a', $future, 'one'))->body, '[1]', 'signed');
is($w->get(signed('/a', $past, 'one'))->body, '[0]', 'expired');
is($w->get(signed('/a', $future, 'two'))->body, '[]', 'by another key');
is($w->get(signed('/a', $future, 'two') . '&k=two')->body, '[1]', 'which is right elsewhere');
is($w->get(signed('/a', $future, '') . '&k=none')->body, '[]', 'an empty key opens nothing');
(my $moved = signed('/a', $future, 'one')) =~ s{^/a}{/b};
is($w->get($moved)->body, '[]', 'for another uri');
is($w->get('/a')->body . $w->get("/a?until=$future")->body . $w->get("/a?sig=AAAA&until=$future")->body, '[][][]', 'not signed');
for (['secure_link_hmac $uri "";', 'needs a key'], ['secure_link_hmac $uri a; secure_link_md5 b;', 'cannot be mixed'], ['location / { secure_link_secret a; secure_link b; }', '"secure_link_secret" cannot be mixed with']) {
    my ($line, $why) = @$_;
    my $bad = Weir->new(conf => "events { }\nhttp { server { listen 127.0.0.1:%%PORT_0%%; $line } }\n");
    my ($code, $said) = $bad->t_binary;
    is($code, 1, "$line is refused");
    like($said, qr/\Q$why\E/, $why);
    $bad->expect_log(qr/emerg/);
}
done_testing;
