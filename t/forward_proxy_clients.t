# What people use: curl, git and apt-get through the forward proxy, with a user and without, and the same through squid.
use lib 't/lib';
use Weir;

my $w = Weir->new(files => { 'site/page' => 'of the origin', 'users' => 'alice:$apr1$saltsalt$' . (`openssl passwd -apr1 -salt saltsalt wonder` =~ /([^\$]+)\n/)[0] . "\n" }, conf => <<'EOC');
events { }
http {
    log_format who '$remote_user $request_method $status';
    access_log off;
    server { listen 127.0.0.1:%%PORT_0%%; root %%TESTDIR%%/site; if ($request_method = POST) { return 200 "posted"; } }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        access_log %%TESTDIR%%/forward.log who;
        forward_proxy on;
        forward_proxy_ports %%PORT_0%%;
        forward_proxy_address allow loopback;
        forward_proxy_access deny host=ads.example;
        forward_proxy_access allow all;
        auth_basic "the proxy";
        auth_basic_user_file %%TESTDIR%%/users;
    }
}
EOC
$w->start;
my ($site, $dir) = ('http://localhost:' . $w->port(0), $w->dir);
my %proxy = (weir => $w->port(1));

# ---- squid, told the same
my $helper = '/usr/lib/squid/basic_ncsa_auth';
my $squid;
if (-x '/usr/sbin/squid' && -x $helper) {
    my ($port, $at) = ($proxy{squid} = Weir::free_port(), "$dir/squid");
    mkdir $at;
    chmod 0777, $at;
    chmod 0644, "$dir/users";
    $w->write_file('squid.conf', <<"EOC");
http_port 127.0.0.1:$port
auth_param basic program $helper $dir/users
auth_param basic realm the proxy
acl users proxy_auth REQUIRED
acl ours port 80 443 @{[$w->port(0)]}
acl SSL_ports port 443 @{[$w->port(0)]}
acl ads dstdomain ads.example
http_access deny !ours
http_access deny ads
http_access allow users
http_access deny all
cache deny all
access_log none
cache_log $at/log
cache_store_log none
pid_filename none
coredump_dir $at
pinger_enable off
shutdown_lifetime 1 seconds
EOC
    $squid = fork // die "fork: $!";
    if (!$squid) { open STDOUT, '>', "$at/out"; open STDERR, '>&', \*STDOUT; exec '/usr/sbin/squid', '-N', '-f', "$dir/squid.conf" or Weir::leave(127) }
    wait_for(sub { eval { Weir::Conn->new(port => $port) } }, 30) or diag(Weir::slurp("$at/log"));
}
END { if ($squid) { my $was = $?; kill TERM => $squid; waitpid $squid, 0; $? = $was } }
sub each_proxy { my $do = shift; $do->($_, $proxy{$_}) for reverse sort keys %proxy }

# ---- curl
SKIP: {
    skip 'no curl', 1 unless `curl --version 2>/dev/null` =~ /^curl/;
    each_proxy(sub {
        my ($name, $port) = @_;
        my $curl = sub { my $said = `curl -sS -m 30 -x http://127.0.0.1:$port @_ 2>&1`; return $said };
        my $user = '--proxy-user alice:wonder';
        is($curl->("$user $site/page"), 'of the origin', "curl, $name");
        is($curl->("$user -p $site/page"), 'of the origin', 'through a tunnel');
        is($curl->("$user --proxy-anyauth $site/page"), 'of the origin', 'asked first');
        is($curl->("$user -d x=y $site/page"), 'posted', 'POST');
        is($curl->("$user -r 3-5 $site/page"), 'the', 'a range');
        is($curl->("$user -o /dev/null -w '%{http_code} %{num_connects}\n' $site/page -o /dev/null $site/page"), "200 1\n200 0\n", 'one connection for two');
        is($curl->("-o /dev/null -w '%{http_code}' $site/page"), '407', 'no user');
        is($curl->("--proxy-user alice:wrong -o /dev/null -w '%{http_code}' $site/page"), '407', 'a wrong password');
        is($curl->("$user -o /dev/null -w '%{http_code}' http://ads.example/"), '403', 'a rule');
        is($curl->("-p -o /dev/null -w '%{http_connect}' $site/page") =~ /(\d+)$/ ? $1 : '', '407', 'a tunnel without a user');
        is($curl->("$user -p -o /dev/null -w '%{http_connect}' http://ads.example:443/") =~ /(\d+)$/ ? $1 : '', '403', 'a tunnel that a rule refuses');
        is($curl->("$user -o /dev/null -w '%{http_code}' http://localhost:1/"), '403', 'a port');
    });
}

# ---- git
SKIP: {
    skip 'no git', 1 unless `git --version 2>/dev/null` =~ /^git/;
    my $git = "HOME=$dir GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 git -c user.name=t -c user.email=t\@t -c init.defaultBranch=main";
    system "cd $dir/site && $git init -q work && cd work && for i in 1 2 3; do echo hello \$i > a && $git add a && $git commit -qm \$i; done && cd .. && $git clone -q --bare work repo.git && cd repo.git && $git update-server-info && chmod -R a+rX $dir/site";
    each_proxy(sub {
        my ($name, $port) = @_;
        system "$git -c http.proxy=http://alice:wonder\@127.0.0.1:$port clone -q $site/repo.git $dir/clone-$name 2>$dir/git.err";
        is(Weir::slurp("$dir/clone-$name/a"), "hello 3\n", "git clone, $name") or diag(Weir::slurp("$dir/git.err"));
        system "http_proxy=http://127.0.0.1:$port $git clone -q $site/repo.git $dir/refused-$name 2>$dir/git.err";
        like(Weir::slurp("$dir/git.err"), qr/407/, 'without a user');
    });
}

# ---- apt
SKIP: {
    skip 'no apt-get or dpkg-deb', 1 unless -x '/usr/bin/apt-get' && -x '/usr/bin/dpkg-deb';
    my $repo = "$dir/site/repo";
    system "mkdir -p $repo $dir/pkg/DEBIAN";
    my $control = "Package: weir-test\nVersion: 1\nArchitecture: all\nMaintainer: t <t\@t>\nDescription: a test\n";
    $w->write_file('pkg/DEBIAN/control', $control);
    system "dpkg-deb -b --root-owner-group $dir/pkg $repo/weir-test_1_all.deb >/dev/null";
    my ($sum) = `sha256sum $repo/weir-test_1_all.deb` =~ /^(\w+)/;
    $w->write_file('site/repo/Packages', $control . "Filename: ./weir-test_1_all.deb\nSize: " . (-s "$repo/weir-test_1_all.deb") . "\nSHA256: $sum\n");
    each_proxy(sub {
        my ($name, $port) = @_;
        my $at = "$dir/apt-$name";
        system "mkdir -p $at/lists/partial $at/cache/archives/partial $at/etc $at/got && : > $at/status";
        $w->write_file("apt-$name/etc/sources.list", "deb [trusted=yes] $site/repo ./\n");
        my $apt = sub {
            my ($proxy, $what) = @_;
            return `cd $at/got && apt-get -q -o Dir::Etc=$at/etc -o Dir::Etc::sourceparts=- -o Dir::Etc::main=- -o Dir::Etc::parts=- -o Dir::State::lists=$at/lists -o Dir::State::status=$at/status -o Dir::Cache=$at/cache -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::http::Proxy=$proxy -o Acquire::Retries=0 $what 2>&1`;
        };
        like($apt->("http://127.0.0.1:$port", 'update'), qr/407/, "apt-get, $name: without a user");
        my $said = $apt->("http://alice:wonder\@127.0.0.1:$port", 'update');
        $said .= $apt->("http://alice:wonder\@127.0.0.1:$port", 'download weir-test');
        ok(-s "$at/got/weir-test_1_all.deb", 'update and download') or diag($said);
        is((`sha256sum $at/got/weir-test_1_all.deb` =~ /^(\w+)/)[0], $sum, 'as it was');
    });
}
ok(wait_for(sub { Weir::slurp("$dir/forward.log") =~ /^alice GET 200$/m }), 'the user in the log');
done_testing;
