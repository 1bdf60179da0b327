# What workers are and may do: ids, groups, limits, folder, environment; and whose the log files are.
use lib 't/lib';
use Weir;

plan(skip_all => 'needs root') if $> != 0;
my $conf = <<'EOC';
user nobody nogroup;
worker_processes 2;
worker_priority 5;
worker_rlimit_nofile 300;
worker_rlimit_core 1m;
worker_cpu_affinity 01;
working_directory %%TESTDIR%%/logs;
env GIVEN=some=value;
env KEPT;
events { worker_connections 64; }
http { server { listen 127.0.0.1:%%PORT_0%%; location / { return 200 "$pid"; } } }
EOC
my $w = Weir->new(conf => $conf, daemon => 1, env => { KEPT => 'kept', DROPPED => 'dropped', TZ => 'UTC' })->start;
$w->wait_workers(2);
# All children are where they are to be: what they may do, and whose folder it is, is looked at and changed after that.
wait_for(sub { !grep { (readlink("/proc/$_/cwd") // '') ne "$w->{dir}/logs" } split ' ', `pgrep -P ${\$w->pid}` }, 10);
my ($pid) = $w->workers;
my $nobody = getpwnam('nobody');
my $nogroup = getgrnam('nogroup');
my %status = Weir::slurp("/proc/$pid/status") =~ /^(\w+):\s*(.*)$/mg;
is($status{Uid}, join("\t", ($nobody) x 4), 'user');
is($status{Gid}, join("\t", ($nogroup) x 4), 'group');
is($status{Groups}, "$nogroup ", 'no other groups');
like($status{CapEff}, qr/^0+$/, 'no capabilities');
like($status{CapPrm}, qr/^0+$/, 'none to be had');
is($status{NoNewPrivs}, 1, 'no new privileges') unless $w->{nginx};
is($status{Cpus_allowed_list}, 0, 'cpu');
is((split ' ', Weir::slurp("/proc/$pid/stat") =~ s/.*\) //sr)[16], 5, 'priority');
my $limits = Weir::slurp("/proc/$pid/limits");
like($limits, qr/^Max open files\s+300\s+300 /m, 'open files');
like($limits, qr/^Max core file size\s+1048576\s+1048576 /m, 'core size');
is(readlink "/proc/$pid/cwd", "$w->{dir}/logs", 'folder');
is((stat "/proc/$pid/environ")[4], $nobody, 'dumpable: its /proc files are its own');
my $master = $w->pid;
is((stat "/proc/$master")[4], 0, 'the master stays root');
is((split ' ', Weir::slurp("/proc/$master/stat") =~ s/.*\) //sr)[16], getpriority(0, 0), 'with its own priority');

# Logs that were moved away are opened anew by the master: workers may write there, whoever owns folder and file.
chmod 0700, $w->{dir};
chmod 0711, $w->{dir} if $w->{nginx};
rename $w->error_log_file, $w->error_log_file . '.1' or die;
$w->signal('USR1');
ok($w->wait_error(qr/\b$pid#\d+: reopening logs/), 'a worker writes to the new log') unless $w->{nginx};
is((stat $w->error_log_file)[4], 0, 'which is root\'s') unless $w->{nginx};
chmod 0755, $w->{dir};
is($w->get('/')->status, 200, 'it serves');

done_testing;
