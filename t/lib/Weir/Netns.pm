package Weir::Netns;
# A test in networks of its own: nothing of it is seen outside, and nothing is left of it. Needs root, unshare, ip and nft.
#
#   use Weir::Netns;                # before anything else runs: begins the test anew, in namespaces, or skips it
#   Weir::Netns::net('client', '10.77.1', 'fd77:1:');    a network namespace: it is .2 (::2), the test, and weir with it, .1 (::1) on device "client"
#   Weir::Netns::within('client', sub { … })             sockets opened in there, processes begun in there, are of that namespace
#   my $dns = Weir::Netns::dns('name.test A 60 10.77.2.2', …)     a Weir::Dns, which is the system's name server in here
#   Weir::Netns::nft('table ip x { … }')                 false, with a note, where the kernel does not know how
use strict;
use warnings;
use Test::More ();
use Weir::Dns;

my $mark = 'WEIR_TEST_NETNS';
my %at;

sub run { my @cmd = @_; system(@cmd) == 0 or die "@cmd failed\n" }
sub tool { my $name = shift; return grep { -x "$_/$name" } qw(/usr/sbin /sbin /usr/bin /bin) }

sub import {
    return if $ENV{$mark};
    my ($missing) = grep { !tool($_) } qw(unshare ip nft);
    my $why = $> != 0 ? 'network namespaces need root' : $missing ? "no $missing" : undef;
    $why //= 'namespaces cannot be made here: ' . `unshare -n -m true 2>&1` if !$why && system('unshare -n -m ip link set lo up 2>/dev/null') != 0;
    if ($why) { chomp $why; Test::More::plan(skip_all => $why); exit }
    $ENV{$mark} = 1;
    exec 'unshare', '-n', '-m', $^X, (map { "-I$_" } @INC), $0, @ARGV or die "unshare: $!";
}

INIT {
    if ($ENV{$mark}) {
        run(qw(mount --make-rprivate /));
        mkdir '/run/netns';
        run(qw(mount -t tmpfs none /run/netns));
        run(qw(ip link set lo up));
        open my $self, '<', '/proc/self/ns/net' or die $!;
        $at{''} = $self;
    }
}

sub net {
    my ($name, $four, $six) = @_;
    run('ip', 'netns', 'add', $name);
    run('ip', 'link', 'add', $name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', $name);
    run('ip', 'addr', 'add', "$four.1/24", 'dev', $name);
    run('ip', 'addr', 'add', "${six}:1/64", 'dev', $name, 'nodad');
    run('ip', 'link', 'set', $name, 'up');
    run('ip', '-n', $name, 'link', 'set', 'lo', 'up');
    run('ip', '-n', $name, 'addr', 'add', "$four.2/24", 'dev', 'eth0');
    run('ip', '-n', $name, 'addr', 'add', "${six}:2/64", 'dev', 'eth0', 'nodad');
    run('ip', '-n', $name, 'link', 'set', 'eth0', 'up');
    run('ip', '-n', $name, 'route', 'add', 'default', 'via', "$four.1");
    run('ip', '-n', $name, '-6', 'route', 'add', 'default', 'via', "${six}:1");
    open my $fd, '<', "/run/netns/$name" or die "$name: $!";
    $at{$name} = $fd;
}

sub enter {
    my $name = shift;
    my $number = { x86_64 => 308, aarch64 => 268 }->{ (POSIX::uname())[4] } // die "setns of this machine is not known\n";
    syscall($number, fileno $at{$name}, 0x40000000) == 0 or die "setns $name: $!\n";
}

sub within {
    my ($name, $do) = @_;
    enter($name);
    my @r = eval { $do->() };
    my $failed = $@;
    enter('');
    die $failed if $failed;
    return wantarray ? @r : $r[0];
}

sub dns {
    my @zone = @_;
    my %texts = (hosts => "127.0.0.1 localhost\n", 'resolv.conf' => "nameserver 127.0.0.1\n");
    for my $name (sort keys %texts) {
        my $file = Weir::scratch() . "/$name";
        open my $out, '>', $file or die "$file: $!";
        print $out $texts{$name};
        close $out;
        run('mount', '--bind', $file, "/etc/$name");
    }
    return Weir::Dns->on(53, @zone);
}

sub nft {
    my $rules = shift;
    my $file = Weir::scratch() . '/rules.nft';
    open my $to, '>', $file or die "$file: $!";
    print $to $rules;
    close $to;
    my $said = `nft -f $file 2>&1`;
    die $said if $said =~ /syntax error/;
    Test::More::note($said) if $said ne '';
    my ($name) = $rules =~ /table \w+ (\w+)/;
    return `nft list tables` =~ /\b$name\b/;
}

1;
