# conf/examples/forward_proxy.conf does what it says; and curl, git and apt go through it.
use lib 't/lib';
use Weir;

my $b = Weir::Backend->new(sub { my $req = shift; return $req->head });
my $conf = Weir::slurp("$Weir::top/conf/examples/forward_proxy.conf");
$conf =~ s/127\.0\.0\.1:3128;/127.0.0.1:%%PORT_0%%;/ or die;
$conf =~ s/127\.0\.0\.1:1080 socks;/127.0.0.1:%%PORT_2%% socks;/ or die;
$conf =~ s/(forward_proxy_ports) 8080 8443/$1 @{[$b->port]} %%PORT_1%%/ or die;
$conf =~ s/host=\.intranet\.example to=private/host=localhost to=loopback/ or die;
$conf =~ s/access_log forward\.log/access_log %%TESTDIR%%\/forward.log/ or die;
$conf =~ s/\}\s*\z/    server { listen 127.0.0.1:%%PORT_1%%; root %%TESTDIR%%\/site; }\n}\n/ or die;
my $w = Weir->new(conf => $conf, files => { users => "alice:{PLAIN}secret\nbob:{PLAIN}other\n", 'blocked.txt' => "ads.example\n", 'site/file' => 'of the origin' })->start;
my ($port, $origin) = ($w->port(0), $b->port);
my $alice = 'Proxy-Authorization: Basic ' . 'YWxpY2U6c2VjcmV0';
sub ask { my ($line, @fields) = @_; my $c = $w->connect; $c->send(join "\r\n", "$line HTTP/1.1", 'Host: x', @fields, '', ''); return $c->response(method => $line =~ /^(\S+)/) }

is(ask("GET http://localhost:$origin/")->status, 407, 'without a user');
is(ask("GET http://localhost:$origin/", $alice)->status, 200, 'with one');
like(ask('GET http://x.ads.example/', $alice)->body, qr/rule "blocked"/, 'the list');
like(ask('CONNECT example.org:80', $alice)->body, qr/rule "no-tunnels-to-80"/, 'tunnels to 80');
like(ask("GET http://127.0.0.1:$origin/", $alice)->body, qr/rule "address"/, 'loopback, unless a rule says so');
like(ask('GET http://10.1.2.3/', $alice)->body, qr/rule "address"/, 'private addresses');
like(ask('GET /proxy.pac')->body, qr/PROXY 127\.0\.0\.1:$port/, 'PAC for anybody');
unlike(ask("GET http://localhost:$origin/", $alice, 'From: me', 'Via: 1.1 x')->body, qr/^(From|Via|Proxy)/m, 'origins learn nothing');
ok(wait_for(sub { Weir::slurp($w->dir . '/forward.log') =~ /127\.0\.0\.1 alice "GET http:\/\/localhost:$origin\/ HTTP\/1\.1" 200 rule=intranet address=127\.0\.0\.1:$origin / }), 'the log');

my $proxy = "http://alice:secret\@127.0.0.1:$port";
my $site = 'http://localhost:' . $w->port(1);
SKIP: {
    skip 'no curl', 3 unless `curl --version 2>/dev/null` =~ /^curl/;
    is(`curl -s -x $proxy $site/file`, 'of the origin', 'curl');
    is(`curl -s -p -x $proxy $site/file`, 'of the origin', 'curl through a tunnel');
    is(`curl -s --socks5-hostname 127.0.0.1:@{[$w->port(2)]} --proxy-user alice:secret $site/file`, 'of the origin', 'curl by SOCKS5');
}
SKIP: {
    skip 'no git', 1 unless `git --version 2>/dev/null` =~ /^git/;
    my $d = $w->dir;
    my $git = "HOME=$d GIT_CONFIG_NOSYSTEM=1 git -c user.name=t -c user.email=t\@t -c init.defaultBranch=main";
    system "cd $d/site && $git init -q work && cd work && echo hello > a && $git add a && $git commit -qm one && cd .. && $git clone -q --bare work repo.git && cd repo.git && $git update-server-info && chmod -R a+rX $d/site";
    system "$git -c http.proxy=$proxy clone -q $site/repo.git $d/cloned 2>$d/git.err";
    is(Weir::slurp("$d/cloned/a"), "hello\n", 'git');
}
SKIP: {
    my $method = '/usr/lib/apt/methods/http';
    skip 'no apt', 1 unless -x $method;
    my $to = $w->dir . '/fetched';
    require IPC::Open2;
    my $apt = IPC::Open2::open2(my $out, my $in, $method);
    print $in "601 Configuration\nConfig-Item: Acquire::http::Proxy=$proxy\nConfig-Item: APT::Sandbox::User=root\n\n600 URI Acquire\nURI: $site/file\nFilename: $to\n\n";
    $in->flush;
    my $said = '';
    local $SIG{ALRM} = sub { kill 'KILL', $apt };
    alarm 20;
    while (my $line = <$out>) { $said .= $line; last if $line =~ /^(201|400|401) / }
    alarm 0;
    close $in;
    waitpid $apt, 0;
    is(Weir::slurp($to), 'of the origin', 'apt') or diag($said);
}
done_testing;
