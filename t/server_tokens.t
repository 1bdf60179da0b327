# server_tokens with a text, and error_log_tag: what nginx's free version has not.
use lib 't/lib';
use Weir;

my $w = Weir->new(conf => <<'EOC')->start;
events { }
http {
    map $arg_a $kind { ~^(?<letter>[a-z])(\d) $letter; default "\"none\""; }
    error_log_tag outer "$request_method";
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location /off/ { server_tokens off; return 404; }
        location /build/ { server_tokens build; return 404; }
        location /text/ { server_tokens "edge/$arg_v"; return 404; }
        location /empty/ { server_tokens ""; return 404; }
        location /line/ { server_tokens $uri; return 404; }
        location /in/ { server_tokens maybe; location /in/deep/ { return 404; } }
        location /tags/ { error_log_tag kind $kind; error_log_tag what "a $uri"; }
        location ~ ^/(kept)/(.*)$ { error_log_tag kind $kind; set $none $no_value; set $x "$1-$2"; return 200 "$x $1\n"; set $no_value ''; }
    }
}
EOC

sub server { my $m = $w->get($_[0]); return (scalar $m->header('Server'), $m->body =~ m{<hr><center>(.*)</center>}) }
is_deeply([server('/off/')], ['weir', 'weir'], 'off');
like(join(' ', server('/build/')), qr{^weir/[\d.]+( \([^)]+\))? weir/[\d.]+( \([^)]+\))?$}, 'build');
is_deeply([server('/text/?v=2')], ['edge/2', 'edge/2'], 'a text');
is_deeply([server('/in/deep/')], ['maybe', 'maybe'], 'inherited');
is_deeply([server('/empty/')], [undef, ''], 'an empty one: no header');
is_deeply([(server('/line/a%0d%0aX-Bad:%201'))[0]], [undef], 'one with a line end is not sent');
is($w->get('/line/a%0d%0aX-Bad:%201')->header('X-Bad'), undef, 'nor is what follows');

is($w->get('/none')->status, 404, 'a file that is not there');
ok($w->wait_error(qr{/html/none" failed .*, host: "[^"]*", outer: "GET"$}m), 'a tag of the outer block, at the end');
is($w->get('/tags/x?a=b7')->status, 404, 'with tags of its own');
ok($w->wait_error(qr{/html/tags/x" failed .*, host: "[^"]*", kind: "b", what: "a /tags/x"$}m), 'these, and not those around');
is($w->get('/tags/y%0az')->status, 404, 'a line end');
ok($w->wait_error(qr{, kind: "\\x22none\\x22", what: "a /tags/y\\x0Az"$}m), 'is escaped');
is($w->get('/kept/two?a=c3')->body, "kept-two kept\n", 'captures stay as they were');
ok($w->wait_error(qr{using uninitialized "no_value" variable.*, kind: "c"$}m), 'though a line was told between');
done_testing;
