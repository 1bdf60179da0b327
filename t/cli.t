# The command line: every switch, what it prints and where, and the exit code. Where nginx has the same, it is asked too.
use lib 't/lib';
use Weir;
use Cwd qw(abs_path);
use File::Path qw(make_path);
use POSIX qw(WNOHANG);

my $weir = abs_path($ENV{WEIR_BINARY} // 'objs/weir');
plan(skip_all => 'weir is not built') unless $weir && -x $weir;
my $has_nginx = -x $Weir::nginx;
my $dir = Weir::scratch() . '/cli';
make_path("$dir/conf.d", "$dir/logs");

sub put { my ($name, $text) = @_; open my $out, '>', "$dir/$name" or die "$name: $!"; print $out $text; close $out or die }
sub read_file { open my $in, '<', shift or return ''; local $/; return <$in> // '' }

# (exit code, stdout, stderr)
sub run {
    my @command = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        $ENV{ASAN_OPTIONS} = join ':', grep { length } $ENV{ASAN_OPTIONS}, 'detect_leaks=0';
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/stdout";
        open STDERR, '>', "$dir/stderr";
        exec { $command[0] } @command or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return ($? >> 8, read_file("$dir/stdout"), read_file("$dir/stderr"));
}

# What both should print: without times, process numbers and the product's name.
sub plain {
    my $text = shift;
    $text =~ s/^\d{4}\/\d\d\/\d\d \S+ \[(\w+)\] \d+#\d+: /[$1] /mg;
    $text =~ s/^(nginx|weir): \[/[/mg;
    $text =~ s/\bnginx\b/weir/g;
    $text =~ s/ \((did you mean|it belongs in)[^)]*\)//g;
    return $text;
}

sub weir { return run($weir, @_) }

sub same_as_nginx {
    my ($name, @args) = @_;
    my ($code, $out, $err) = weir(@args);
    return ok(1, "$name: no nginx to ask") unless $has_nginx;
    my ($ncode, $nout, $nerr) = run($Weir::nginx, @args);
    is($code, $ncode, "$name: exit code");
    is(plain($out), plain($nout), "$name: stdout");
    is(plain($err), plain($nerr), "$name: stderr");
}

# ---- what is printed and done

{
    my ($code, $out, $err) = weir('-v');
    is($code, 0, '-v');
    is($out, '', '-v prints nothing on stdout');
    like($err, qr{\Aweir version: weir/\d+\.\d+\.\d+( \(.*\))?\n\z}, '-v: the version');
    my $version = $err;

    ($code, $out, $err) = weir('-V');
    is($code, 0, '-V');
    like($err, qr{\A\Q$version\Ebuilt by .*\nbuilt with OpenSSL .*\nTLS SNI support enabled\nconfigure arguments:.*\n\z}, '-V: how it was built');

    for my $switch ('-h', '-?', '-hv') {
        ($code, $out, $err) = weir($switch);
        is($code, 0, $switch);
        is($out, '', "$switch prints nothing on stdout");
        like($err, qr{\A\Q$version\EUsage: weir \[-\?hvVtTq\] \[-s signal\] \[-p prefix\]\n.*^Options:\n.*^  -g directives : set global}ms, "$switch: help");
    }
}

{
    my ($code, $out, $err) = weir('-h', 'worker_connections');
    is($code, 0, '-h DIRECTIVE');
    is($err, '', 'nothing on stderr');
    like($out, qr{\ASyntax:   worker_connections number;\nDefault:  512\nContext:  events\nModule:   events\n +\w.*\.\n\z}s, 'its entry');
    ($code, $out, $err) = weir('-h', 'worker_conections');
    is($code, 1, '-h with an unknown directive');
    is($out, '', 'nothing on stdout');
    like($err, qr{\Aweir: unknown directive "worker_conections", did you mean worker_connections\?}, 'the nearest names');
    ($code, $out, $err) = weir('-h', 'directives');
    is($code, 0, '-h directives');
    my @lines = split /\n/, $out;
    is(scalar(grep { !/^[^\t]+\t[^\t]+\t[^\t]*\t[^\t]*\t[^\t]+\t[^\t]+\.$/ } @lines), 0, 'six columns each');
    ok(scalar(grep { /^core\tdaemon\ton \| off\ton\tmain\t/ } @lines), 'daemon is among them');
}

# ---- wrong switches, in nginx's words

same_as_nginx("@$_", @$_) for ['-x'], ['x'], ['-tx'], ['-p'], ['-e'], ['-c'], ['-g'], ['-s'], ['-s', 'halt'], ['-shalt'];
is((weir('-'))[0], 1, 'a lone dash is refused');

# ---- testing a configuration

my @at = ('-p', $dir, '-e', 'stderr');
put('ok.conf', "events { }\npid $dir/test.pid;\nerror_log stderr;\ninclude conf.d/*.conf;\n");
put('conf.d/b.conf', "env B=1;\n");
put('conf.d/a.conf', "env A;\n# the first");
same_as_nginx("-t", '-t', @at, '-c', 'ok.conf');
same_as_nginx("-t -q", '-t', '-q', @at, '-c', 'ok.conf');
same_as_nginx("-T", '-T', @at, '-c', 'ok.conf');
same_as_nginx("-Tq", '-Tq', @at, '-c', 'ok.conf');
same_as_nginx("-t -g", '-t', @at, '-c', 'ok.conf', '-g', 'worker_processes 2;');
same_as_nginx("-t, prefix without slash", '-t', '-p', "$dir/", '-e', 'stderr', '-c', "$dir/ok.conf");

my %wrong = (
    'no such file' => undef,
    'no events' => "daemon on;\n",
    'unknown' => "events { }\nfoo bar;\n",
    'nearly known' => "events { }\nworker_proceses 2;\n",
    'misplaced' => "events { }\nworker_connections 10;\n",
    'unterminated' => "events { }\ndaemon on\n",
    'unfinished block' => "events {\n",
    'one brace too many' => "events { } }\n",
    'lone semicolon' => "events { };\n",
    'no brace' => "events;\n",
    'a brace too many' => "daemon on { }\n",
    'flag' => "events { }\ndaemon maybe;\n",
    'twice' => "events { }\ndaemon on;\ndaemon off;\n",
    'too many words' => "events { }\ndaemon on off;\n",
    'after a quote' => "events { }\npid \"x\"y;\n",
    'long' => "events { }\npid " . ('x' x 5000) . ";\n",
    'long quote' => "events { }\npid \"" . ('x' x 5000) . ";\n",
    'missing include' => "events { }\ninclude nosuch.conf;\n",
    'error in an include' => "events { }\ninclude bad.inc;\n",
    'event type' => "events { use kqueue; }\n",
    'log level' => "events { }\nerror_log stderr loud;\n",
);
put('bad.inc', "\n\n}\n");
for my $name (sort keys %wrong) {
    unlink "$dir/wrong.conf";
    put('wrong.conf', $wrong{$name}) if defined $wrong{$name};
    same_as_nginx("-t, $name", '-t', @at, '-c', 'wrong.conf');
}
same_as_nginx("-g, $_", '-t', @at, '-c', 'ok.conf', '-g', $_) for 'daemon on', 'foo;', 'events { }', "pid x;";
{
    my (undef, undef, $err) = weir('-t', @at, '-c', 'ok.conf', '-g', 'worker_proceses 2;');
    like($err, qr{unknown directive "worker_proceses" \(did you mean "worker_processes"\?\) in command line$}m, 'did you mean');
    put('wrong.conf', "events { daemon on; }\n");
    (undef, undef, $err) = weir('-t', @at, '-c', 'wrong.conf');
    like($err, qr{"daemon" directive is not allowed here \(it belongs in: main\) in \Q$dir\E/wrong.conf:1$}m, 'where it belongs');
    put('wrong.conf', "events { accept_mutex on; accept_mutex off; }\nerror_log stderr;\npid $dir/x.pid;\n");
    my $code;
    ($code, undef, $err) = weir('-t', @at, '-c', 'wrong.conf');
    is($code, 0, 'a directive without effect is accepted');
    is(scalar(() = $err =~ /\[warn\] the "accept_mutex" directive has no effect/g), 1, 'and says so once');
    like($err, qr/"weir -h accept_mutex" says why/, 'and where it is told why');
    put('wrong.conf', "events { accept_mutex off; accept_mutex_delay 500ms; }\nhttp { send_lowat 0; }\nerror_log stderr;\npid $dir/x.pid;\n");
    unlike((weir('-t', @at, '-c', 'wrong.conf'))[2], qr/no effect/, 'nothing is said where nothing is asked for');
}

# ---- signals to nobody

unlink "$dir/test.pid";
same_as_nginx("-s stop, no pid file", '-s', 'stop', @at, '-c', 'ok.conf');
put('test.pid', "nonsense\n");
same_as_nginx("-s quit, nonsense in the pid file", '-s', 'quit', @at, '-c', 'ok.conf');
unlink "$dir/test.pid";

# ---- signals to somebody

{
    my $w = Weir->new(daemon => 1, plain => 1, conf => "events { }\n")->start;
    my $conf = "$w->{dir}/weir.conf";
    my @same = ($w->command)[1 .. 8];
    my $pid = $w->pid;
    ok($pid, 'a daemon writes its pid');
    my ($code) = weir(@same, '-s', 'reopen');
    is($code, 0, '-s reopen');
    ok($w->wait_error(qr/reopening logs/), 'is heard');
    ($code) = weir(@same, '-s', 'reload');
    is($code, 0, '-s reload');
    ok($w->wait_error(qr/reconfiguring/), 'is heard');
    ($code) = weir(@same, '-s', 'quit');
    is($code, 0, '-s quit');
    ok(wait_for(sub { !-e $w->pid_file }), 'and it is gone');
}

done_testing;
