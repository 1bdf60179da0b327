# ./configure and the Makefile: nginx's options, what they write, and what make install leaves alone.
use lib 't/lib';
use Weir;
use File::Path qw(make_path);

my $dir = Weir::scratch();
my $B = "$dir/objs";

sub configure {
    my @args = map { "'$_'" } @_;
    my $said = `cd $Weir::top && ./configure --builddir=$B @args 2>&1`;
    return ($? >> 8, $said);
}
sub macros { return { Weir::slurp("$B/weir_config.h") =~ /^#define (\w+) +(.*)$/mg } }

my ($code, $said) = configure('--help');
is($code, 0, '--help');
like($said, qr/^  --prefix=PATH .*\n/m, 'lists options');

($code, $said) = configure();
is($code, 0, 'without options') or diag $said;
my $m = macros();
is($m->{WEIR_PREFIX}, '"/usr/local/weir/"', 'prefix');
is($m->{WEIR_CONF_PATH}, '"conf/weir.conf"', 'conf path');
is($m->{WEIR_PID_PATH}, '"logs/weir.pid"', 'pid path');
is($m->{WEIR_CONFIGURE}, qq("--builddir=$B"), 'arguments kept');
ok(!$m->{WEIR_DEBUG}, 'no debug log');

# What Debian's nginx is configured with.
($code, $said) = configure('--with-cc-opt=-g -O2 -Wformat', '--with-ld-opt=-Wl,-z,relro', '--prefix=/usr/share/weir', '--conf-path=/etc/weir/weir.conf',
    '--http-log-path=/var/log/weir/access.log', '--error-log-path=stderr', '--lock-path=/var/lock/weir.lock', '--pid-path=/run/weir.pid',
    '--modules-path=/usr/lib/weir/modules', '--http-client-body-temp-path=/var/lib/weir/body', '--http-proxy-temp-path=/var/lib/weir/proxy',
    '--http-fastcgi-temp-path=/var/lib/weir/fastcgi', '--http-scgi-temp-path=/var/lib/weir/scgi', '--http-uwsgi-temp-path=/var/lib/weir/uwsgi',
    qw(--user=www-data --group=adm --with-compat --with-debug --with-pcre-jit --with-http_ssl_module --with-http_stub_status_module --with-threads
    --with-http_v2_module --with-mail=dynamic --with-stream=dynamic --without-nghttp2 --sbin-path=/usr/sbin/weir));
is($code, 0, "Debian's options") or diag $said;
like($said, qr/not a part of weir, left out: --with-mail\n/, 'mail is told');
$m = macros();
is($m->{WEIR_PREFIX}, '"/usr/share/weir/"', 'prefix');
is($m->{WEIR_CONF_PATH}, '"/etc/weir/weir.conf"', 'conf path');
is($m->{WEIR_ERROR_LOG_PATH}, '"stderr"', 'error log');
is($m->{WEIR_USER}, '"www-data"', 'user');
is($m->{WEIR_GROUP}, '"adm"', 'group');
is($m->{WEIR_HTTP_CLIENT_TEMP_PATH}, '"/var/lib/weir/body"', 'temp path');
ok($m->{WEIR_DEBUG}, 'debug log');
ok(!$m->{HAVE_NGHTTP2}, 'without nghttp2');
like($m->{WEIR_CONFIGURE}, qr/--with-cc-opt='-g -O2 -Wformat' /, 'arguments quoted');

($code, $said) = configure('--with-http_sll_module');
is($code, 1, 'an unknown option');
like($said, qr/unknown option "--with-http_sll_module", did you mean "--with-http_ssl_module"\?/, 'names the nearest');
($code, $said) = configure('--perfix=/x');
like($said, qr/did you mean "--prefix"/, 'here too');
($code, $said) = configure('--with-cc=no-such-compiler');
is($code, 1, 'a compiler that is not there');
like($said, qr/"no-such-compiler" not found/, 'is told');

# make install, from the build under test, where that is one of weir's.
my $binary = $ENV{WEIR_BINARY} // 'objs/weir';
my ($build) = $binary =~ m{^(?:\Q$Weir::top\E/)?(objs[^/]*)/weir$};
SKIP: {
    skip('not a build of this tree', 9) unless $build && -x "$Weir::top/$build/weir";
    my $to = "$dir/root";
    my $install = "cd $Weir::top && make -s -f $build/Makefile install DESTDIR=$to 2>&1";
    my $out = `$install`;
    is($?, 0, 'install') or diag $out;
    my ($prefix) = Weir::slurp("$Weir::top/$build/weir_config.h") =~ /WEIR_PREFIX +"(.*)\/"/;
    ok(-x "$to$prefix/sbin/weir", 'binary');
    ok(-s "$to$prefix/$_", $_) for qw(conf/weir.conf conf/mime.types html/index.html share/man/man5/weir.conf.5 share/man/man8/weir.8);
    open my $f, '>', "$to$prefix/conf/weir.conf";
    print $f "# mine\n";
    close $f;
    `$install`;
    is(Weir::slurp("$to$prefix/conf/weir.conf"), "# mine\n", 'a second install leaves the configuration alone');
    ok(-x "$to$prefix/sbin/weir.old", 'and keeps the old binary');
}
done_testing;
