# Keys that are not in files: of an engine (PKCS#11, by SoftHSM), of a store; ssl_engine.
use lib 't/lib';
use Weir;
use Weir::Pem;

my ($module) = grep { -e } '/usr/lib/softhsm/libsofthsm2.so', glob '/usr/lib/*/softhsm/libsofthsm2.so';
my ($engine) = glob '/usr/lib/*/engines-3/pkcs11.so';
my $pem = Weir::Pem->new(Weir::scratch() . '/pem');
$pem->ca('ca')->issue('a', by => 'ca', rsa => 1);
my $conf = <<'EOC';
%%MAIN%%
worker_processes 2;
env SOFTHSM2_CONF; env OPENSSL_CONF;
events { }
http { server { listen 127.0.0.1:%%PORT_0%% ssl; ssl_certificate a.pem; ssl_certificate_key "%%KEY%%"; return 200 $pid; } }
EOC
sub server { my ($main, $key) = @_; return Weir->new(vars => { MAIN => $main, KEY => $key }, files => { 'a.pem' => $pem->read('a.pem') }, conf => $conf) }
sub shakes { my ($w) = @_; return join ' ', map { my $r = eval { $w->get('/', ssl => 1) }; $r ? $r->status : 'none' } 1 .. 6 }
is(shakes(server('', 'store:file:' . $pem->file('a.key'))->start), join(' ', (200) x 6), 'a key of a store');
my $w = server('ssl_engine no-such-engine;', $pem->file('a.key'))->expect_log(qr/\[emerg\]/);
my ($code, $said) = $w->t_binary;
like($said, qr/\[emerg\].*"no-such-engine" cannot be used in \S+:\d+: ENGINE_by_id/, 'an engine that is not there') if $w->name eq 'weir';
isnt($code, 0, 'is an error');
($code, $said) = server('', 'engine:no-such-engine:x')->expect_log(qr/\[emerg\]/)->t_binary;
like($said, qr/\[emerg\].*cannot load certificate key "engine:no-such-engine:x": ENGINE_by_id\(/, 'nor with a key of it');

SKIP: {
    skip 'softhsm2 and libengine-pkcs11-openssl are not installed', 2 unless $module && $engine && -x '/usr/bin/softhsm2-util';
    mkdir $pem->file('tokens');
    local $ENV{SOFTHSM2_CONF} = $pem->write('softhsm2.conf', "directories.tokendir = $pem->{dir}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n");
    system("softhsm2-util --init-token --free --label t --pin 1234 --so-pin 1234 >/dev/null && softhsm2-util --import $pem->{dir}/a.key --token t --label k --id a1b2 --pin 1234 >/dev/null") == 0 or die 'softhsm2-util failed';
    system("chmod -R a+rwX $pem->{dir}");
    local $ENV{OPENSSL_CONF} = $pem->write('engine.cnf', "openssl_conf = i\n[i]\nengines = e\n[e]\npkcs11 = p\n[p]\nengine_id = pkcs11\nMODULE_PATH = $module\nPIN = 1234\ninit = 1\n");
    my $key = 'engine:pkcs11:pkcs11:token=t;object=k;type=private';
    is(shakes(server('', $key)->start), join(' ', (200) x 6), 'a key in a token, which all workers use');
    is(shakes(server('ssl_key_isolation on;', $key)->start), join(' ', (200) x 6), 'and stays there, where keys are kept apart');
    unlink $pem->file('a.key');
    is(shakes(Weir->new(binary => $Weir::nginx, vars => { MAIN => '', KEY => $key }, files => { 'a.pem' => $pem->read('a.pem') }, conf => $conf)->start), join(' ', (200) x 6), 'nginx does the same');
}
done_testing;
