# stall_threshold: a turn of the loop that takes longer is told of.
use lib 't/lib';
use Weir;

sub server {
    return Weir->new(conf => <<"EOC")->start;
events { $_[0] }
http { server { listen 127.0.0.1:%%PORT_0%%; location / { return 200 x; } location /slow/ { @{[ 'rewrite ^/slow/(a+)+$ /x;' x 200 ]} return 200 slow; } } }
EOC
}
# Each expression tries more than a hundred thousand ways, and there are two hundred of them: tens of milliseconds at least.
my $slow = '/slow/' . 'a' x 17 . '!';
my $line = qr/\[warn\] \d+#\d+: the event loop stalled: one turn took \d+ ms/;
my $w = server('stall_threshold 1ms;');
is($w->get($slow)->status, 200, 'a request that holds the loop up');
ok($w->wait_error($line), 'is told of');
for my $value ('stall_threshold 0;', 'stall_threshold 1h;') {
    my $x = server($value);
    is($x->get($slow)->status, 200, "$value the same");
    is($x->get('/')->status, 200, 'and a turn behind it');
    unlike($x->error_log, $line, 'is not');
}
my $bad = Weir->new(conf => "events { stall_threshold soon; }\n");
like(($bad->t_binary)[1], qr/invalid value "soon"/, 'what is no time is refused');
$bad->expect_log(qr/emerg/);
done_testing;
