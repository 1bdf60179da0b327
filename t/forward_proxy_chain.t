# Parents of the forward proxy that are others' programs: squid with users, ssh -D; and one that is killed under load.
use lib 't/lib';
use Weir;

my $dir = Weir::scratch();
my $origin = Weir::Backend->new(sub { my $req = shift; return [200, [], $req->head] });
my ($squid_port, $ssh_port, $sshd_port) = map { Weir::free_port() } 1 .. 3;
my $second = Weir->new(vars => { BACK => $origin->port }, conf => 'events { } http { server { listen 127.0.0.1:%%PORT_0%%; forward_proxy on; forward_proxy_via second; forward_proxy_ports %%BACK%%; forward_proxy_address allow loopback; forward_proxy_access allow all; } }')->start;
my $third = Weir->new(vars => { BACK => $origin->port }, conf => 'events { } http { server { listen 127.0.0.1:%%PORT_0%%; forward_proxy on; forward_proxy_via third; forward_proxy_ports %%BACK%%; forward_proxy_address allow loopback; forward_proxy_access allow all; } }')->start;
my $w = Weir->new(vars => { BACK => $origin->port, SQUID => $squid_port, SSH => $ssh_port, SECOND => $second->port(0), THIRD => $third->port(0) }, conf => <<'EOC')->start;
events { }
http {
    log_format fwd '$status|$forward_proxy_parent|$request';
    access_log %%TESTDIR%%/access.log fwd;
    forward_proxy_ports %%BACK%%;
    forward_proxy_address allow loopback;
    forward_proxy_access allow all;
    forward_proxy_via first;
    upstream pool { server 127.0.0.1:%%SECOND%% max_fails=1 fail_timeout=10s; server 127.0.0.1:%%THIRD%% max_fails=1 fail_timeout=10s; }
    server { listen 127.0.0.1:%%PORT_0%%; forward_proxy on; forward_proxy_parent http://127.0.0.1:%%SQUID%% login=alice:secret; }
    server { listen 127.0.0.1:%%PORT_1%%; forward_proxy on; forward_proxy_parent http://127.0.0.1:%%SQUID%% login=alice:guess; }
    server { listen 127.0.0.1:%%PORT_2%%; forward_proxy on; forward_proxy_parent socks5://127.0.0.1:%%SSH%%; }
    server { listen 127.0.0.1:%%PORT_3%%; forward_proxy on; forward_proxy_parent http://pool; }
}
EOC
my @children;
sub run { my ($log, @words) = @_; my $pid = fork // die; if (!$pid) { open STDIN, '<', '/dev/null'; open STDOUT, '>', $log; open STDERR, '>&', \*STDOUT; exec @words or Weir::leave(127) } push @children, $pid; return $pid }
sub dial { return eval { Weir::Conn->new(port => $_[0]) } }
sub ask { my ($n, $what) = @_; my $c = $w->connect(port => $w->port($n)); $c->send("$what HTTP/1.1\r\nHost: x\r\n\r\n"); return $c->response(method => $what =~ /^(\S+)/) }
sub tunnel { my ($n, $to) = @_; my $c = $w->connect(port => $w->port($n)); $c->send("CONNECT $to HTTP/1.1\r\nHost: x\r\n\r\n"); my $r = $c->response(method => 'CONNECT') or return 'closed'; return $r->status if $r->status != 200; $c->send("GET /in HTTP/1.1\r\nHost: inner\r\nConnection: close\r\n\r\n"); return $c->rest }
my $o = $origin->addr;

SKIP: {
    my $helper = '/usr/lib/squid/basic_ncsa_auth';
    skip 'no squid', 6 unless -x '/usr/sbin/squid' && -x $helper;
    my $home = "$dir/squid";
    mkdir $home;
    chmod 0777, $home;
    open my $users, '>', "$home/users" or die;
    print $users 'alice:' . crypt('secret', '$1$saltsalt$') . "\n";
    close $users;
    open my $out, '>', "$home/conf" or die;
    print $out "http_port 127.0.0.1:$squid_port\nauth_param basic program $helper $home/users\nauth_param basic children 1\nacl known proxy_auth REQUIRED\nacl denied urlpath_regex ^/denied\nhttp_access deny denied\nhttp_access allow known\nhttp_access deny all\ncache deny all\naccess_log none\ncache_log $home/log\ncache_store_log none\npid_filename none\ncoredump_dir $home\npinger_enable off\nforwarded_for delete\nshutdown_lifetime 1 seconds\n";
    close $out;
    run("$home/out", '/usr/sbin/squid', '-N', '-f', "$home/conf");
    wait_for(sub { dial($squid_port) }, 60) or diag(Weir::slurp("$home/log"));
    my $r = ask(0, "GET http://$o/a");
    is($r->status, 200, 'through squid');
    like($r->body, qr{^GET /a HTTP.*\r\nVia: 1\.1 first, 1\.1 \S+ \(squid}s, 'which says so');
    like(tunnel(0, $o), qr{GET /in HTTP/1\.1}, 'a tunnel through it');
    is(ask(0, "GET http://$o/denied")->status, 403, 'what it refuses is refused');
    is(ask(1, "GET http://$o/a")->status, 502, 'a login that it does not know is our fault, not the client\'s');
    is(tunnel(1, $o), 502, 'nor for tunnels');
}

SKIP: {
    skip 'no ssh, or no sshd', 3 unless -x '/usr/sbin/sshd' && `ssh -V 2>&1` =~ /OpenSSH/ && $> == 0;
    my $home = "$dir/ssh";
    mkdir $home, 0700;
    mkdir '/run/sshd', 0755;
    system "ssh-keygen -q -t ed25519 -N '' -f $home/$_" for qw(host user);
    system "cp $home/user.pub $home/keys && chmod 600 $home/keys";
    open my $out, '>', "$home/conf" or die;
    print $out "Port $sshd_port\nListenAddress 127.0.0.1\nHostKey $home/host\nAuthorizedKeysFile $home/keys\nStrictModes no\nPidFile none\nUsePAM no\nPermitRootLogin yes\n";
    close $out;
    run("$home/sshd.log", '/usr/sbin/sshd', '-D', '-e', '-f', "$home/conf");
    wait_for(sub { dial($sshd_port) }, 30);
    run("$home/ssh.log", 'ssh', '-N', '-D', "127.0.0.1:$ssh_port", '-p', $sshd_port, '-i', "$home/user", '-o', 'StrictHostKeyChecking=no', '-o', "UserKnownHostsFile=$home/known", '-o', 'ExitOnForwardFailure=yes', 'root@127.0.0.1');
    wait_for(sub { dial($ssh_port) }, 30) or diag(Weir::slurp("$home/sshd.log"), Weir::slurp("$home/ssh.log"));
    is(ask(2, "GET http://$o/a")->status, 200, 'through ssh -D');
    like(tunnel(2, $o), qr{GET /in HTTP/1\.1}, 'a tunnel through it');
    is(ask(2, 'GET http://127.0.0.1:80/')->status, 502, 'a port where nobody listens');
}

# Two parents; one is killed while four clients ask, each over one connection.
{
    my @clients;
    for my $n (1 .. 4) {
        pipe my $in, my $out;
        my $pid = fork // die;
        if (!$pid) {
            my %seen;
            my $c = $w->connect(port => $w->port(3));
            for my $i (1 .. 150) {
                if ($i % 10) { $c->send("GET http://$o/$n/$i HTTP/1.1\r\nHost: x\r\n\r\n") } else { $seen{tunnel(3, $o) =~ /GET \/in/ ? 'tunnel' : 'no tunnel'}++; next }
                my $r = $c->response;
                $seen{$r ? $r->status : 'closed'}++;
                $seen{$1}++ if $r && $r->body =~ /^Via: 1\.1 (second|third)/m;
            }
            syswrite $out, join(' ', map { "$_=$seen{$_}" } sort keys %seen) . "\n";
            Weir::leave();
        }
        close $out;
        push @clients, $in;
    }
    wait_for(sub { ($w->access_log =~ tr/\n//) > 100 }, 60);
    kill 'KILL', $second->pid, Weir::children($second->pid);
    for my $in (@clients) { chomp(my $said = <$in> // 'nothing'); like($said, qr/^200=135 (no tunnel=1 )?second=\d+ third=\d+ tunnel=1[45]$/, "a client whose parent was killed loses the tunnel that went through it, and nothing else: $said") }
    1 while waitpid(-1, POSIX::WNOHANG()) > 0;
}
kill 'TERM', @children;
done_testing;
