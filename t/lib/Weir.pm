package Weir;
# End-to-end tests of weir. `use lib 't/lib'; use Weir;` brings strict, warnings and Test::More's words; done_testing
# stops what runs and looks it over: an [alert] or [emerg] line, a sanitizer's report or a process left over fails the test.
#
#   my $w = Weir->new(conf => <<'EOC', files => { 'html/a.txt' => "text" }, vars => { BACKEND => $b->addr })->start;
#   events { }
#   http { server { listen 127.0.0.1:%%PORT_0%%; location / { proxy_pass http://%%BACKEND%%; } } }
#   EOC
#   is($w->get('/')->status, 200);
#   done_testing;
#
# In conf, %%PORT_n%% is a free port, %%TESTDIR%% the test's own folder, which is the prefix too (-p). Unless conf has
# them itself, these are given: pid, error_log (info; log_level => 'debug'), daemon off, user (root, when root runs the
# test), access_log %%TESTDIR%%/access.log. The binary is $WEIR_BINARY or objs/weir; it may be nginx.
#
# Where a new binary is to be started (USR2), say daemon => 1: without it nginx takes the test for its old binary.
#
#   port(n) dir pid name               workers (pids)  wait_workers(n)
#   start stop(signal) reload signal(name, pid) upgrade    t_binary(extra…) = (exit code, output)
#   connect(port => n, ssl => 1) = Weir::Conn     get(uri, …) http_get     raw(bytes) = Weir::Message    raw_all(bytes) = bytes until close
#   error_log access_log               wait_error(qr/…/) wait_access(n lines)    write_file(name, bytes)   write_conf(text)
#   expect_log(qr/…/, why)             an [alert] or [emerg] line that this test makes on purpose
#   wait_for(sub, seconds)             polls until true     free_port     scratch (the test file's own folder)
#   Weir->compare(conf, [requests], …) the same conf and requests with nginx and weir: see Weir::Compare
use strict;
use warnings;
use Carp ();
use Cwd ();
use Fcntl qw(LOCK_EX O_CREAT O_NOFOLLOW O_RDWR);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Spec;
use IO::Socket::INET;
use POSIX ();
use Test::More ();
use Time::HiRes qw(sleep time);
use Weir::Backend;
use Weir::Conn;
use Weir::Message;

our $top = Cwd::abs_path(dirname(__FILE__) . '/../..');
our $nginx = '/usr/sbin/nginx';
our $quiet;         # a script, not a test: says nothing of plans
my $owner = $$;
my (@all, $scratch, $count, $finished);

sub import {
    my $to = caller;
    strict->import;
    warnings->import;
    no strict 'refs';
    for my $word (grep { $_ ne 'done_testing' } @Test::More::EXPORT) {
        my $sigil = $word =~ /^\$/ ? next : $word;
        *{"${to}::$sigil"} = \&{"Test::More::$sigil"};
    }
    *{"${to}::done_testing"} = \&finish;
    *{"${to}::wait_for"} = \&wait_for;
    *{"${to}::TODO"} = \${"${to}::TODO"};
}

# ---- the ground: folders, ports, processes

sub scratch {
    return $scratch if $scratch;
    $scratch = "$top/t/tmp-$owner";
    remove_tree($scratch);
    make_path($scratch);
    chmod 0755, $scratch;
    return $scratch;
}

# A port that nobody has, below the range the system itself hands out; a counter for the whole machine keeps tests apart.
sub free_port {
    my ($low, $high) = split /-/, $ENV{WEIR_TEST_PORTS} // '23000-31999';
    my $file = File::Spec->tmpdir . "/weir-test-ports-$low-$<";
    sysopen my $io, $file, O_RDWR | O_CREAT | O_NOFOLLOW, 0600 or die "$file: $!\n";
    flock $io, LOCK_EX or die "$file: $!\n";
    my $at = <$io> // 0;
    $at = $at =~ /^(\d+)/ ? $1 : 0;
    for (1 .. $high - $low) {
        $at = $at < $low || $at >= $high ? $low : $at + 1;
        next unless IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => $at, Proto => 'tcp', Listen => 1);
        next unless IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => $at, Proto => 'udp');
        seek $io, 0, 0;
        truncate $io, 0;
        print $io "$at\n";
        close $io;
        return $at;
    }
    die "no free port in $low-$high\n";
}

sub wait_for {
    my ($done, $seconds) = @_;
    my $until = time + ($seconds // 10) * ($ENV{WEIR_TEST_SLOW} // 1);
    while (1) {
        my $r = $done->();
        return $r if $r;
        return 0 if time > $until;
        sleep 0.005;
    }
}

sub slurp { my $file = shift; open my $in, '<:raw', $file or return ''; local $/; return <$in> // '' }

# Ends a forked process without the test's own END blocks and buffers.
sub leave { POSIX::_exit($_[0] // 0) }

sub proc_stat {     # (state, parent, session) of a process
    my $stat = slurp("/proc/$_[0]/stat");
    return $stat =~ /^\d+ \(.*\) (\S) (\d+) \d+ (\d+)/s ? ($1, $2, $3) : ();
}
sub alive { my ($state) = proc_stat($_[0]); return defined $state && $state !~ /[ZX]/ }
sub title { my $t = slurp("/proc/$_[0]/cmdline"); $t =~ s/\0+$//; $t =~ tr/\0/ /; return $t }
sub children { my $pid = shift; return split ' ', join ' ', map { slurp($_) } glob "/proc/$pid/task/*/children" }
sub session_of { my $sid = shift; return grep { my @s = proc_stat($_); @s && $s[2] == $sid && $s[0] !~ /[ZX]/ } map { m{(\d+)} ? $1 : () } glob '/proc/[0-9]*' }

# ---- one server under test

sub new {
    my ($class, %o) = @_;
    my $self = bless { ports => {}, allowed => [], vars => {}, log_level => 'info', %o }, $class;
    $self->{binary} //= $ENV{WEIR_BINARY} // 'objs/weir';
    $self->{binary} = Cwd::abs_path($self->{binary} =~ m{^/} ? $self->{binary} : "$top/$self->{binary}") // $self->{binary};
    die "no binary $self->{binary}: build first, or set WEIR_BINARY\n" unless -x $self->{binary};
    $self->{nginx} = $self->{binary} =~ m{nginx[^/]*$};
    $self->{dir} = scratch() . '/' . ++$count;
    make_path("$self->{dir}/logs", "$self->{dir}/sanitizer");
    chmod 0777, "$self->{dir}/sanitizer", "$self->{dir}/logs", $self->{dir};
    $self->write_file($_, $self->{files}{$_}) for sort keys %{ $self->{files} // {} };
    $self->write_conf($self->{conf}) if defined $self->{conf};
    push @all, $self;
    return $self;
}

sub dir  { $_[0]{dir} }
sub name { $_[0]{nginx} ? 'nginx' : 'weir' }
sub port { my ($self, $n) = @_; return $self->{ports}{ $n // 0 } //= free_port() }

sub write_file {
    my ($self, $name, $bytes) = @_;
    my $file = "$self->{dir}/$name";
    make_path(dirname($file));
    open my $out, '>:raw', $file or die "$file: $!";
    print $out $bytes;
    close $out or die "$file: $!";
    utime 1700000000, 1700000000, $file;    # so that ETag and Last-Modified are the same everywhere
    return $file;
}

sub fill_in {
    my ($self, $text) = @_;
    $text =~ s/%%PORT_(\d+)%%/$self->port($1)/ge;
    $text =~ s/%%TESTDIR%%/$self->{dir}/g;
    $text =~ s/%%(\w+)%%/$self->{vars}{$1} \/\/ Carp::croak("%%$1%% is not among vars")/ge;
    return $text;
}

sub write_conf {
    my ($self, $text, $file) = @_;
    $text = $self->fill_in($text);
    my $add = '';
    $add .= " access_log $self->{dir}/access.log;" unless $text =~ /\baccess_log\b/;
    if ($self->{nginx}) {
        for my $path (qw(client_body proxy fastcgi uwsgi scgi)) {
            $add .= " ${path}_temp_path $self->{dir}/${path}_temp;" unless $text =~ /\b${path}_temp_path\b/;
        }
    }
    $text =~ s/^(\s*http\s*\{)/$1$add/m if $add && !$self->{plain};
    return $self->write_file($file // 'weir.conf', $self->{text} = $text);
}

sub globals {
    my $self = shift;
    my $text = $self->{text} // '';
    my $g = $self->{globals} // '';
    $g .= "pid $self->{dir}/weir.pid; " unless $text =~ /^\s*pid\b/m;
    $g .= "error_log $self->{dir}/error.log $self->{log_level}; " unless $text =~ /^\s*error_log\b/m;
    $g .= 'daemon off; ' unless $self->{daemon} || $text =~ /^\s*daemon\b/m;
    $g .= 'user root; ' unless $text =~ /^\s*user\b/m || $> != 0;
    return $g;
}

sub command {
    my ($self, @more) = @_;
    my @c = ($self->{binary}, '-p', "$self->{dir}/", '-c', 'weir.conf', '-e', "$self->{dir}/error.log");
    $c[4] = "$self->{dir}/weir.conf";
    push @c, '-g', $self->globals if $self->globals ne '';
    return (@c, @more);
}

sub set_environment {
    my $self = shift;
    my $log = "log_path=$self->{dir}/sanitizer/report";
    $ENV{ASAN_OPTIONS} = join ':', grep { length } $ENV{ASAN_OPTIONS} // '', $log;
    $ENV{UBSAN_OPTIONS} = join ':', grep { length } $ENV{UBSAN_OPTIONS} // '', 'print_stacktrace=1', $log;
    $ENV{LSAN_OPTIONS} = join ':', grep { length } $ENV{LSAN_OPTIONS} // '', $log;
    $ENV{$_} = $self->{env}{$_} for keys %{ $self->{env} // {} };
}

# The addresses that conf listens on, as /proc knows them.
sub listens {
    my $self = shift;
    my (%want, $udp);
    my @texts = ($self->{text}, map { slurp($_) } grep { -f } map { glob(m{^/} ? $_ : "$self->{dir}/$_") } $self->{text} =~ /^\s*include\s+([^;\s]+);/mg);
    for my $text (@texts) {
        while ($text =~ /^\s*(?:server\s*\{\s*)?listen\s+([^;]+);/mg) {
            my ($addr, @rest) = split ' ', $1;
            my $kind = (grep { $_ eq 'udp' } @rest) ? 'udp' : 'tcp';
            if ($addr =~ /^unix:(.*)/) { $want{"unix $1"} = 1 }
            elsif ($addr =~ /(\d+)-(\d+)$/) { $want{"$kind $_"} = 1 for $1 .. $2 }
            elsif ($addr =~ /(?:^|:)(\d+)$/) { $want{"$kind $1"} = 1 }
        }
    }
    return sort keys %want;
}

sub listening {     # are all of them open?
    my %have;
    for my $kind (qw(tcp udp)) {
        for my $line (map { split /\n/, slurp("/proc/net/$_") } $kind, "${kind}6") {
            $have{"$kind " . hex $1} = 1 if $line =~ /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) \S+ (0A|07) /;
        }
    }
    for my $line (split /\n/, slurp('/proc/net/unix')) { $have{"unix $1"} = 1 if $line =~ /\s(\S+)$/ }
    return !grep { !$have{$_} } @_;
}

sub launch {
    my $self = shift;
    my @command = $self->command(@_);
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        POSIX::setsid();
        $self->set_environment;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/stdout";
        open STDERR, '>>', "$self->{dir}/stderr";
        POSIX::close($_) for 3 .. 255;
        chdir $self->{dir};
        exec { $command[0] } @command or leave(127);
    }
    return $self->{launched} = $pid;
}

sub start {
    my $self = shift;
    my $pid = $self->launch(@_);
    push @{ $self->{sessions} }, $pid;
    my @want = $self->listens;
    my $daemon = $self->{daemon} || ($self->{text} // '') =~ /^\s*daemon\s+on/m;
    my $up = wait_for(sub {
        if (!$self->{reaped} && waitpid($pid, POSIX::WNOHANG()) == $pid) {
            $self->{reaped} = 1;
            return 'dead' if !$daemon || $?;
        }
        return $self->pid && listening(@want);
    }, 20);
    if (!$up || $up eq 'dead') {
        Test::More::diag($self->name . ($up ? ' did not start' : ' did not listen') . ' (' . join(' ', $self->command) . "):\n"
            . slurp("$self->{dir}/stderr") . $self->error_log);
        $self->halt;
        Test::More::BAIL_OUT('no server') if $self->{bail};
        die "no server\n";
    }
    $self->{master} = $self->pid;
    push @{ $self->{sessions} }, (proc_stat($self->{master}))[2] // () if $daemon;
    my ($workers) = $self->{text} =~ /^\s*worker_processes\s+(\d+)\s*;/m;
    $self->wait_workers($workers // 1) unless ($self->{text} . $self->globals) =~ /\bmaster_process\s+off/;
    return $self;
}

sub pid_file { my $self = shift; return ($self->{text} // '') =~ /^\s*pid\s+([^;]+);/m ? File::Spec->rel2abs($1, $self->{dir}) : "$self->{dir}/weir.pid" }
sub pid { my $self = shift; return slurp($self->pid_file) =~ /^(\d+)\n/ ? $1 : undef }

# Workers of the master that serve (not those on their way out).
sub workers {
    my ($self, $pid) = @_;
    return grep { my $t = title($_); $t =~ /worker process/ && $t !~ /shutting down/ } children($pid // $self->pid // return);
}
sub wait_workers { my ($self, $n) = @_; return wait_for(sub { my @w = $self->workers; @w == $n || ($n == 1 && @w) }) }

sub signal { my ($self, $name, $pid) = @_; return kill $name => $pid // $self->pid // return 0 }

# HUP, and wait until new workers serve and the old ones have stopped accepting. False: it was refused ([emerg] in the log).
sub reload {
    my $self = shift;
    my %old = map { ($_ => 1) } $self->workers;
    my $from = -s $self->error_log_file // 0;
    my $master = $self->pid;
    $self->signal('HUP');
    my $r = wait_for(sub {
        my $new = substr $self->error_log, $from;
        return 'refused' if $new =~ /\[emerg\]/;
        return 0 unless grep { !$old{$_} } $self->workers($master);
        for my $pid (keys %old) {
            return 0 unless !alive($pid) || title($pid) =~ /shutting down/ || $new =~ /\b$pid#\d+: (gracefully shutting down|exiting)/;
        }
        return 'done';
    }, 20);
    Test::More::diag("reload: no new workers in 20 s\n" . $self->error_log) unless $r;
    return $r && $r eq 'done';
}

# USR2: returns the new master's pid once it serves beside the old one (whose pid is in .oldbin), or undef.
sub upgrade {
    my $self = shift;
    my $old = $self->pid;
    $self->signal('USR2');
    my $new = wait_for(sub {
        my $pid = $self->pid;
        return $pid && $pid != $old && -f $self->pid_file . '.oldbin' && $self->workers($pid) ? $pid : 0;
    }, 20);
    $self->{master} = $new if $new;
    return $new || undef;
}

sub sessions_alive { my $self = shift; my %seen; return map { session_of($_) } grep { !$seen{$_}++ } @{ $self->{sessions} // [] } }
sub reap { my $self = shift; $self->{reaped} = 1 if $self->{launched} && waitpid($self->{launched}, POSIX::WNOHANG()) != 0 }

# QUIT (or the signal given) and wait; false when something was still there after 10 s.
sub stop {
    my ($self, $signal) = @_;
    my $master = $self->pid // $self->{master};
    kill $signal // 'QUIT', $master if $master && $self->sessions_alive;
    my $gone = wait_for(sub { $self->reap; !$self->sessions_alive }, 10);
    $self->{left} = join ', ', map { "$_ " . title($_) } $self->sessions_alive unless $gone;
    $self->halt;
    return $gone;
}

sub halt {
    my $self = shift;
    for (1 .. 3) {
        my @left = $self->sessions_alive or last;
        kill KILL => @left;
        wait_for(sub { $self->reap; !$self->sessions_alive }, 2);
    }
    $self->reap;
    $self->{sessions} = [];
}

# Once with more switches (default -t): (exit code, what it printed).
# Is the binary one of "make sanitized"? It keeps what was freed, so that memory says nothing.
sub sanitized { return index(slurp($_[0]{binary}), '__asan_init') >= 0 }

sub t_binary {
    my ($self, @more) = @_;
    my @command = $self->command(@more ? @more : '-t');
    my $pid = open(my $out, '-|') // die "fork: $!";
    if ($pid == 0) {
        $self->set_environment;
        open STDERR, '>&', \*STDOUT;
        exec { $command[0] } @command or leave(127);
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($? & 127 ? "signal $?" : $? >> 8, $text);
}

# ---- logs

sub error_log_file { my $self = shift; return ($self->{text} // '') =~ /^\s*error_log\s+([^;\s]+)/m && $1 !~ /^(stderr|syslog:|memory:)/ ? File::Spec->rel2abs($1, $self->{dir}) : "$self->{dir}/error.log" }
sub error_log { my $self = shift; return slurp($self->error_log_file) }
sub access_log { my ($self, $name) = @_; return slurp("$self->{dir}/" . ($name // 'access.log')) }
sub wait_error { my ($self, $re, $seconds) = @_; return wait_for(sub { $self->error_log =~ $re }, $seconds) }
sub wait_access { my ($self, $n, $name) = @_; wait_for(sub { ($self->access_log($name) =~ tr/\n//) >= $n }); return split /\n/, $self->access_log($name) }
sub expect_log { my ($self, $re) = @_; push @{ $self->{allowed} }, $re; return $self }

# ---- talking to it

sub connect {
    my ($self, %o) = @_;
    my $n = delete $o{port} // 0;
    $o{port} = $n < 1000 ? $self->port($n) : $n unless $o{unix};
    return Weir::Conn->new(%o);
}
sub get {
    my ($self, $uri, %o) = @_;
    my %c = map { exists $o{$_} ? ($_ => $o{$_}) : () } qw(port addr unix ssl timeout);
    my $conn = $self->connect(%c);
    $o{headers} = [@{ $o{headers} // [] }, Connection => 'close'] unless $o{keep} || grep { /^connection$/i } @{ $o{headers} // [] };
    return $conn->get($uri, %o);
}
*http_get = \&get;
sub raw { my ($self, $bytes, %o) = @_; my $c = $self->connect(%o); $c->send($bytes); return $c->response }
sub raw_all { my ($self, $bytes, %o) = @_; my $c = $self->connect(%o); $c->send($bytes); return $c->rest }

sub compare { require Weir::Compare; shift; return Weir::Compare::run(@_) }

# ---- the end

sub faults {
    my $self = shift;
    my @bad;
    for my $line (map { split /\n/, slurp($_) } $self->error_log_file, grep { -f } "$self->{dir}/stderr") {
        next unless $line =~ /\[(alert|emerg)\]/;
        next if grep { $line =~ $_ } @{ $self->{allowed} };
        next if $self->{nginx} && $line =~ /open socket #\d+ left|worker_connections exceed|aborting/;
        push @bad, $line;
    }
    push @bad, "left over: $self->{left}" if $self->{left};
    push @bad, map { "$_:\n" . substr(slurp($_), 0, 6000) } glob "$self->{dir}/sanitizer/report*";
    my $stderr = slurp("$self->{dir}/stderr");
    push @bad, substr $stderr, 0, 6000 if $stderr =~ /AddressSanitizer|runtime error:|LeakSanitizer/;
    return @bad;
}

sub end_all {
    my @bad;
    for my $w (@all) {
        $w->stop if $w->sessions_alive;
        push @bad, $w->faults;
    }
    Weir::Backend::stop_all();
    return @bad;
}

sub finish {
    $finished = 1;
    my @bad = end_all();
    if (@all) {
        my $name = 'no alert, sanitizer report or left-over process';
        Test::More::ok(!@bad, $name) or Test::More::diag(join "\n", @bad);
    }
    Test::More::done_testing(@_);
}

END {
    if ($$ == $owner) {
        my $status = $?;
        my @bad = $finished ? () : end_all();
        Test::More::diag('the test ended before done_testing', @bad) if @all && !$finished && !$quiet;
        my $passed = $status == 0 && ($quiet || $finished && Test::More->builder->is_passing);
        if ($scratch) {
            if ($passed || $ENV{WEIR_TEST_CLEAN}) { remove_tree($scratch) }
            else { Test::More::diag("logs are in $scratch") }
        }
        $? = $status;
    }
}

$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);

1;
