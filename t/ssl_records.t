# How long the records of a response are: ssl_buffer_size, and records that begin small (ssl_dyn_rec_…).
use lib 't/lib';
use Weir;
use Weir::Pem;

my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('a', by => 'ca', names => ['a.test']);
my $w = Weir->new(vars => { PEM => $pem->{dir} }, files => { 'html/f' => 'f' x 150_000 }, conf => <<'EOC')->start;
events { }
http { ssl_certificate %%PEM%%/a.pem; ssl_certificate_key %%PEM%%/a.key; root html;
    server { listen 127.0.0.1:%%PORT_0%% ssl; }
    server { listen 127.0.0.1:%%PORT_1%% ssl; ssl_buffer_size 4k; }
    server { listen 127.0.0.1:%%PORT_2%% ssl; ssl_dyn_rec_enable on; }
    server { listen 127.0.0.1:%%PORT_3%% ssl; ssl_dyn_rec_enable on; ssl_dyn_rec_size_lo 500; ssl_dyn_rec_size_hi 2k; ssl_dyn_rec_threshold 3; ssl_buffer_size 8k; } }
EOC

# Plain bytes in each record of application data that came (RFC 8446 5.2: less a type and a tag): how many there are of each length.
sub lengths {
    my ($n, @more) = @_;
    my $out = `printf 'GET /f HTTP/1.0\\r\\n\\r\\n' | openssl s_client -connect 127.0.0.1:${\ $w->port($n)} -msg -ign_eof @more 2>/dev/null`;
    my %count;
    while ($out =~ /<<< TLS 1\.\d, RecordHeader \[length 0005\]\n\s+17 03 03 (\w\w) (\w\w)/g) { $count{ hex("$1$2") - 17 }++ }
    return \%count;
}
is(lengths(0)->{16384}, 9, 'records of 16 kB');
is(lengths(1)->{4096}, 36, 'of 4 kB');
my $ramp = lengths(2);
is($ramp->{1369}, 40, 'a ramp: first one packet each');
ok($ramp->{4229} >= 22, 'then three');
$ramp = lengths(3);
is_deeply([map { $ramp->{$_} } 500, 2048], [3, 3], 'a ramp of its own sizes and steps');
ok($ramp->{8192} >= 17, 'up to ssl_buffer_size');

for (['ssl_dyn_rec_size_lo 0', qr/ssl_dyn_rec_size_lo/], ['ssl_dyn_rec_size_hi 17k', qr/ssl_dyn_rec_size_hi/], ['ssl_dyn_rec_threshold 0', qr/between 1 and 1000000/]) {
    my ($line, $names) = @$_;
    my ($code, $out) = Weir->new(vars => { PEM => $pem->{dir} }, conf => "events { } http { server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate %%PEM%%/a.pem; ssl_certificate_key %%PEM%%/a.key; ssl_dyn_rec_enable on; $line; } }")->t_binary;
    ok($code && $out =~ $names, "$line; is refused") or diag $out;
}
done_testing;
