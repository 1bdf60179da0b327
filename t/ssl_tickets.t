# Keys of tickets: one for all workers, kept over a reload and an upgrade; another one when it is as old as sessions may be.
use lib 't/lib';
use Weir;
use Weir::Pem;

plan(skip_all => 'nginx has a key for each worker, or in a shared session cache') if ($ENV{WEIR_BINARY} // '') =~ /nginx[^\/]*$/;
my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('a', by => 'ca');
sub server { my ($time) = @_; return Weir->new(vars => { TIME => $time }, files => { map { $_ => $pem->read($_) } qw(a.pem a.key) }, conf => <<'EOC')->start }
worker_processes 4;
events { }
http { ssl_session_timeout %%TIME%%; server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate a.pem; ssl_certificate_key a.key; return 200 "$ssl_session_reused"; } }
EOC
my $session = Weir::scratch() . '/session';
sub visit {        # the name of the key that the ticket was sealed with (RFC 5077 4), and whether the client came back
    my ($w, @more) = @_;
    my $to = $w->port(0);
    my $said = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 10 openssl s_client -connect 127.0.0.1:$to -tls1_2 -ign_eof @more 2>/dev/null`;
    my ($name) = $said =~ /TLS session ticket:\s+0000 - ((?:[0-9a-f]{2}[ -]){16})/;
    return ($name // 'none', $said =~ /\r\n\r\n([r.])/ ? $1 : '?');
}
my $w = server('1h');
my ($first) = visit($w, '-sess_out', $session);
like($first, qr/^[0-9a-f]{2}/, 'a key');
my %names = map { (visit($w))[0] => 1 } 1 .. 12;
is(join(' ', keys %names), $first, 'all workers seal with it');
ok($w->reload, 'a reload');
is(join(' ', visit($w, '-sess_in', $session)), "$first r", 'after it as well, and a client comes back');
my $old = $w->pid;
ok($w->upgrade, 'a new binary');
kill QUIT => $old;
ok(wait_for(sub { !Weir::alive($old) }), 'the old one leaves');
is(join(' ', visit($w, '-sess_in', $session)), "$first r", 'after it as well, and a client comes back');

my $quick = server('2s');
my ($before) = visit($quick, '-sess_out', $session);
ok(wait_for(sub { (visit($quick))[0] ne $before }, 20), 'keys as old as sessions may be are changed');
done_testing;
