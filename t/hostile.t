# A short run of scripts/hostile: mutated requests, each followed by a canary, and what must hold of their answers.
use lib 't/lib';
use Weir;

for my $seed (1, 2 + $$ % 100000) {
    my $said = `$Weir::top/scripts/hostile --count 4000 --seed $seed --binary \${WEIR_BINARY:-objs/weir} 2>&1`;
    is($?, 0, "seed $seed") or diag $said;
    like($said, qr/ canaries, .*, 0 faults$/m, $said =~ /^(.*mutated requests.*)$/m ? $1 : 'figures');
}
done_testing;
