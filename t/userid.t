# userid: cookies as nginx makes and reads them.
use lib 't/lib';
use Weir;
use MIME::Base64;

my $old = encode_base64(pack('N4', 0x7f000001, 0x5e000000, 0x12345678, 0x03030302), '');
my $conf = <<'EOC';
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        add_header X-Got $uid_got;
        location /off { return 200 off; }
        location /log { userid log; add_header X-Got $uid_got; add_header X-Set "$uid_set"; return 200 log; }
        location /on { userid on; userid_service 7; add_header X-Got $uid_got; return 200 on; }
        location /mark { userid on; userid_mark Z; userid_name me; userid_domain .example.com; userid_path /p; userid_flags secure httponly samesite=lax; userid_expires max; userid_p3p 'CP="NOI"'; add_header X-Got $uid_got; return 200 mark; }
        location /reset { userid on; set $uid_reset log; add_header X-Got $uid_got; return 200 reset; }
        location /zero { userid on; set $uid_reset 0; add_header X-Got $uid_got; return 200 zero; }
    }
}
EOC
# What differs from second to second and process to process is masked, in both.
sub masked { my ($w, $bytes) = @_; my $m = $w->raw($bytes);
    for (@{ $m->headers }) { next unless $_->[0] eq 'Set-Cookie'; $_->[1] =~ s/=([A-Za-z0-9+\/]{22})(..)/"=ID" . length(decode_base64("$1==")) . ($2 eq '==' ? '==' : $2)/e; } return $m }
my @list;
for my $uri (qw(/off /log /on /reset /zero)) {
    for my $cookie (undef, "uid=$old", 'uid=tooshort', 'uid=!!!!!!!!!!!!!!!!!!!!!!!!', "a=b; uid=$old; c=d", 'uid=' . substr($old, 0, 21) . 'B==') {
        my $bytes = "GET $uri HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" . (defined $cookie ? "Cookie: $cookie\r\n" : '') . "\r\n";
        push @list, "$uri " . ($cookie // 'none') => sub { masked(shift, $bytes) };
    }
}
(my $marked = $old) =~ s/==$/Z=/;
push @list, "mark $_" => "GET /mark HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: me=$_\r\n\r\n" for $old, $marked;
push @list, 'mark, new' => sub { masked(shift, "GET /mark HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") };
my $w = Weir->compare($conf, \@list);

my ($id) = $w->get('/on')->header('Set-Cookie') =~ /^uid=([^;]+); path=\/$/;
my ($service, $time, $start, $count) = unpack 'N4', decode_base64($id);
is($service, 7, 'service');
ok(abs($time - time) < 10, 'time');
my ($next) = $w->get('/on')->header('Set-Cookie') =~ /^uid=([^;]+)/;
is((unpack 'N4', decode_base64($next))[3], $count + 0x100, 'the next one counts on');
ok($w->wait_error(qr/client sent too short userid cookie "tooshort"/), 'a short one is logged');
ok($w->wait_error(qr/\[notice\].*userid cookie "uid=[0-9A-F]{32}" was reset/), 'a reset one is logged');

my $v = Weir->new(conf => <<'EOC')->start;
events { }
http { server { listen 127.0.0.1:%%PORT_0%%; userid v1; userid_service 9; userid_expires 1d; add_header X-Set $uid_set; location / { return 200 x; } } }
EOC
my $m = $v->get('/');
my ($cookie, $expires) = $m->header('Set-Cookie') =~ /^uid=([^;]+); expires=(\w{3}, \d\d-\w{3}-\d\d \d\d:\d\d:\d\d GMT); path=\/$/;
my @v1 = unpack 'V4', decode_base64($cookie);
is($m->header('X-Set'), sprintf('uid=%08X%08X%08X%08X', @v1), '$uid_set');
is($v1[0], 9, 'v1 service');
done_testing;
