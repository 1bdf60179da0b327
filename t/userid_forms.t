# userid: every directive with its values, in all combinations that a cookie may show, beside nginx.
use lib 't/lib';
use Weir;
use Weir::Compare;
use MIME::Base64;

my $ours = encode_base64(pack('N4', 0x7f000001, 0x5e000000, 0x12345678, 0x03030302), '');
my @ways = (map({ "userid $_" } qw(on v1 log off)), map({ "userid on; userid_name $_" } qw(uid x X-Y a.b)), map({ "userid on; userid_domain $_" } qw(none example.com .example.com)), map({ "userid on; userid_path $_" } '/', '/a/b', '"/; x"', 'x'),
    map({ "userid on; userid_expires $_" } qw(max off)), map({ "userid on; userid_flags $_" } 'off', 'secure', 'httponly', 'samesite=lax', 'samesite=strict', 'samesite=none', 'secure samesite=none', 'httponly secure samesite=strict'),
    map({ "userid on; userid_mark $_" } qw(off A z 0 9 =)), map({ "userid v1; userid_mark $_" } qw(off A =)), map({ "userid log; userid_mark $_" } qw(A)), map({ "userid on; userid_p3p $_" } 'none', '"policyref=\"/w3c/p3p.xml\", CP=\"CUR\""', "'CP=\"A B\"'"), map({ "userid on; userid_service $_" } 0, 1, 255, 4294967295, '0x7f'),
    'userid v1; userid_service 77', 'userid on; userid_mark Z; userid_domain d.test; userid_path /p; userid_flags secure httponly; userid_expires max; userid_p3p P; userid_name n', 'userid on; set $uid_reset 1', 'userid on; set $uid_reset log', 'userid on; set $uid_reset 0', 'userid log; set $uid_reset 1', 'userid v1; set $uid_reset 1', 'userid off; set $uid_reset 1');
my $n = 0;
my $conf = "events { }\nhttp {\n    log_format l '\$uri|\$uid_got|\$status';\n    access_log %%TESTDIR%%/l.log l;\n    server {\n        listen 127.0.0.1:%%PORT_0%%;\n        root %%TESTDIR%%/html;\n"
    . join('', map { $n++; "        location /w$n/ { $_; add_header X-Got \"<\$uid_got>\" always; alias %%TESTDIR%%/html/; }\n" } grep { !/0x7f/ } @ways) . "        location /up/ { proxy_pass http://127.0.0.1:%%PORT_0%%/w1/; userid on; userid_name outer; }\n        location /ret/ { userid on; return 200 x; location /ret/404 { return 404; } location /ret/302 { return 302 /x; } location /ret/500 { return 500; } }\n        location /page/ { userid on; userid_name q; error_page 404 /w1/a.html; return 404; }\n    }\n}\n";
# What differs from second to second and process to process is masked; its length, mark and the rest stand.
sub masked {
    my $bytes = shift;
    return sub {
        my $m = shift->raw($bytes) or return undef;
        for (@{ $m->headers }) {
            next unless $_->[0] eq 'Set-Cookie';
            my ($id) = $_->[1] =~ /^[^=]+=([A-Za-z0-9+\/]{22}[^;]*)/ or next;
            my $kept = index($ours, substr $id, 0, 21) == 0 ? 'the same' : 'a new one';
            $_->[1] =~ s/=\Q$id\E/"=$kept, " . length($id) . ' ' . substr($id, 22)/e;
        }
        $_->[1] =~ s/[0-9A-F]{32}/ID/ for @{ $m->headers };
        return $m;
    };
}
sub ask { my ($uri, $cookie) = @_; return ("$uri " . ($cookie // 'none') => masked("GET $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . (defined $cookie ? "Cookie: $cookie\r\n" : '') . "\r\n")) }
(my $marked = $ours) =~ s/==$/A=/;
(my $zed = $ours) =~ s/==$/z=/;
my @all = map { my $u = "/w$_/a.html"; (ask($u), map { ask($u, $_) } "uid=$ours", "uid=$marked", "uid=$zed", 'uid=x') } 1 .. $n;
push @all, map { ask('/w1/a.html', $_) } "a=b; uid=$ours", "UID=$ours", "uid=$ours; uid=x", "uid=x; uid=$ours", "uid =$ours", "uid= $ours", "uid=\"$ours\"", "xuid=$ours", "uid=$ours,a=b", 'uid=' . substr($ours, 0, 22), 'uid=' . substr($ours, 0, 22) . '=', "uid=${ours}XXXX", 'uid=' . '-' x 24, 'uid=' . substr($ours, 0, 10) . '!' . substr($ours, 11), 'uid=', '';
push @all, map({ (ask($_), ask($_, "uid=$ours")) } qw(/up/a.html /ret/x /ret/404 /ret/302 /ret/500 /page/x /w1/missing));
my ($nginx, $w) = Weir->compare($conf, \@all, files => { 'html/a.html' => "a\n" });
$_->stop for $nginx, $w;
my @l = map { my @a = sort split /\n/, $_->access_log('l.log'); \@a } $nginx, $w;
s/=[0-9A-F]{32}/=ID/ for map { @$_ } @l;
is(join("\n", @{ $l[1] }), join("\n", @{ $l[0] }), '$uid_got in the log');
# nginx shows the whole Cookie line, in which there may be secrets.
sub lines { my $s = shift; return join '', sort map { s/^\S+ \S+ //; s/\d+#\d+: (\*\d+ )?//; s/ while sending response to client//; s/cookie ".*", client/cookie, client/; "$_\n" } grep { /userid|uid/ && !/GET .* HTTP.*upstream/ } split /\n/, $s->error_log =~ s/\Q$s->{dir}\E/DIR/gr }
is(lines($w), lines($nginx), 'error lines as nginx');

for ('userid maybe', 'userid', 'userid_service x', 'userid_service -1', 'userid_flags maybe', 'userid_flags secure maybe', 'userid_flags samesite=x', 'userid_mark AB', 'userid_mark +', 'userid_mark', 'userid_expires x', 'userid_name', 'userid_domain a b', 'userid_service 1; userid_service 2', 'userid_flags secure off', 'userid_flags') {
    my ($ng, $we) = map { Weir->new($_ ? (binary => $Weir::nginx) : ()) } 1, 0;
    my $text = $_;
    my @code = map { $_->write_conf("events { }\nhttp { $text; server { listen 127.0.0.1:%%PORT_0%%; } }\n"); $_->expect_log(qr/emerg/); ($_->t_binary)[0] ? 'refused' : 'taken' } $ng, $we;
    is($code[1], $code[0], "$text: $code[0], as nginx");
}
done_testing;
