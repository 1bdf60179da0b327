# slow
# A short run of scripts/zero-loss: reloads, upgrades, other numbers of workers and killed workers under load.
use lib 't/lib';
use Weir;

my $said = `$Weir::top/scripts/zero-loss --hups 8 --upgrades 2 --kills 3 2>&1`;
is($?, 0, 'nothing lost') or diag $said;
like($said, qr/^lost: none$/m, 'says so');
done_testing;
