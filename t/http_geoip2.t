# geoip2: variables from a database, which is made here.
use lib 't/lib';
use Weir;

# ---- the least that makes a MaxMind database: IPv4, records of 32 bits
sub size { my ($type, $n) = @_; my $ext = $type > 7; my $first = $ext ? 0 : $type << 5; my $s = $n < 29 ? '' : chr($n - 29); return chr($first | ($n < 29 ? $n : 29)) . ($ext ? chr($type - 7) : '') . $s }
sub put {
    my $v = shift;
    if (ref $v eq 'HASH') { return size(7, scalar keys %$v) . join '', map { put($_) . put($v->{$_}) } sort keys %$v }
    if (ref $v eq 'ARRAY') { my ($kind, $x) = @$v;
        return size(11, scalar @$x) . join '', map { put($_) } @$x if $kind eq 'list';
        return size(14, $x ? 1 : 0) if $kind eq 'bool';
        return size(3, 8) . pack 'd>', $x if $kind eq 'double';
        return size(15, 4) . pack 'f>', $x if $kind eq 'float';
        return size(8, 4) . pack 'l>', $x if $kind eq 'int';
        return size(5, 2) . pack 'n', $x if $kind eq 'u16';
        return size(9, 8) . pack 'Q>', $x if $kind eq 'u64';
        return size(6, 4) . pack 'N', $x;
    }
    return size(2, length $v) . $v;
}
sub database {
    my (%nets) = @_;
    my @nodes = ([undef, undef]);
    my ($data, %at) = ('');
    for my $net (sort keys %nets) {
        my ($ip, $bits) = split m{/}, $net;
        my @bits = split //, unpack 'B32', pack 'C4', split /\./, $ip;
        my $n = 0;
        $at{$net} = length $data;
        $data .= put($nets{$net});
        for my $i (0 .. $bits - 2) {
            if (!defined $nodes[$n][$bits[$i]]) { push @nodes, [undef, undef]; $nodes[$n][$bits[$i]] = $#nodes }
            $n = $nodes[$n][$bits[$i]];
        }
        $nodes[$n][$bits[$bits - 1]] = \$at{$net};
    }
    my $count = @nodes;
    my $tree = join '', map { pack 'N2', map { ref $_ ? $count + 16 + $$_ : $_ // $count } @$_ } @nodes;
    return $tree . "\0" x 16 . $data . "\xab\xcd\xefMaxMind.com" . put({ node_count => ['u32', $count], record_size => ['u16', 32], ip_version => ['u16', 4], database_type => 'Test', languages => ['list', ['en']],
        binary_format_major_version => ['u16', 2], binary_format_minor_version => ['u16', 0], build_epoch => ['u64', 1700000000], description => { en => 'test' } });
}

my $first = database('192.0.2.0/24' => { country => { iso_code => 'DE', names => { en => 'Germany' } }, location => { latitude => ['double', 51.5], f => ['float', 0.5] }, n => ['int', -7], big => ['u64', 5000000000], flag => ['bool', 1], id => ['u16', 9], list => ['list', ['a', 'b']] },
    '198.51.100.0/25' => { country => { iso_code => 'FR' } });
my $conf = <<'EOC';
events { }
http {
    set_real_ip_from 127.0.0.1;
    geoip2 %%TESTDIR%%/test.mmdb {
        auto_reload 1s;
        $code default=XX country iso_code;
        $name country names en;
        $lat location latitude;
        $float location f;
        $n n;
        $big big;
        $flag flag;
        $id id;
        $second list 1;
        $map country;
        $other default=none source=$arg_ip country iso_code;
        $epoch metadata build_epoch;
        $changed metadata last_change;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { return 200 "$code|$name|$lat|$float|$n|$big|$flag|$id|$second|$map|$other|$epoch"; }
    }
}
EOC
my $w = Weir->new(conf => $conf, files => { 'test.mmdb' => $first })->start;
sub ask { my ($ip, $args) = @_; return $w->get('/' . ($args // ''), headers => ['X-Real-IP' => $ip])->body }
is(ask('192.0.2.55'), 'DE|Germany|51.50000|0.50000|-7|5000000000|1|9|b||none|1700000000', 'all types');
is(ask('198.51.100.1'), 'FR||||||||||none|1700000000', 'another network');
is(ask('198.51.100.129'), 'XX||||||||||none|1700000000', 'none: the default');
is(ask('203.0.113.1', '?ip=192.0.2.1'), 'XX||||||||||DE|1700000000', 'of another address');
is(ask('203.0.113.1', '?ip=rubbish'), 'XX||||||||||none|1700000000', 'which is none');
is(ask('2001:db8::1'), 'XX||||||||||none|1700000000', 'IPv6 in a database of IPv4');
$w->write_file('new.mmdb', database('192.0.2.0/24' => { country => { iso_code => 'IT' } }));
rename "$w->{dir}/new.mmdb", "$w->{dir}/test.mmdb";
ok(wait_for(sub { ask('192.0.2.1') =~ /^IT/ }), 'a database that changed is opened anew');
$w->write_file('new.mmdb', 'rubbish');
rename "$w->{dir}/new.mmdb", "$w->{dir}/test.mmdb";
ok($w->wait_error(qr/test.mmdb" has changed and cannot be opened/), 'one that is none is told');
like(ask('192.0.2.1'), qr/^IT/, 'and the old one stays');

# Trusted proxies, as the well-known module has it: the last address, or the last that is not trusted.
for my $recursive ('', 'geoip2_proxy_recursive on;') {
    my $p = Weir->new(conf => <<"EOC", files => { 'test.mmdb' => $first })->start;
events { }
http {
    geoip2_proxy 127.0.0.0/8;
    $recursive
    geoip2_proxy 203.0.113.7;
    geoip2 %%TESTDIR%%/test.mmdb { \$code default=XX country iso_code; \$other default=none source=\$remote_addr country iso_code; }
    server { listen 127.0.0.1:%%PORT_0%%; location / { return 200 "\$code|\$other"; } }
}
EOC
    for ([[], 'XX', 'XX'], [['192.0.2.1'], 'DE', 'DE'], [['192.0.2.1, 198.51.100.1'], 'FR', 'FR'], [['192.0.2.1, 203.0.113.7'], 'XX', 'DE'], [['192.0.2.1', '203.0.113.7'], 'XX', 'DE'], [['192.0.2.1, rubbish'], 'XX', 'XX'],
        [['198.51.100.1, 192.0.2.1 ,203.0.113.7, 127.0.0.2'], 'XX', 'DE'], [['203.0.113.7'], 'XX', 'XX']) {
        my ($lines, @want) = @$_;
        is($p->get('/', headers => [map { ('X-Forwarded-For' => $_) } @$lines])->body, $want[$recursive ? 1 : 0] . '|none', "geoip2_proxy $recursive " . join ' / ', @$lines);
    }
}
for (['geoip2_proxy x;', 'invalid network "x"'], ['geoip2_proxy_recursive x;', 'it must be "on" or "off"'], ['geoip2 none.mmdb { }', 'cannot be opened'], ['geoip2 %%TESTDIR%%/test.mmdb { $x; }', 'needs a path'], ['geoip2 %%TESTDIR%%/test.mmdb { x y; }', 'invalid setting "x"'], ['geoip2 %%TESTDIR%%/test.mmdb { $x metadata y; }', 'unknown metadata']) {
    my ($line, $why) = @$_;
    my $bad = Weir->new(conf => "events { }\nhttp { $line }\n", files => { 'test.mmdb' => $first });
    my ($code, $said) = $bad->t_binary;
    is($code, 1, "$line is refused");
    like($said, qr/\Q$why\E/, $why);
    $bad->expect_log(qr/emerg/);
}
done_testing;
