# status_zone: requests counted by server and location, for the API.
use lib 't/lib';
use Weir;
use JSON::PP;

my $conf = <<'EOC';
worker_processes 4;
events { }
http {
    server {
        listen 127.0.0.1:%%PORT_0%%;
        status_zone site;
        location / { status_zone all; return 200 "hello"; }
        location /gone { status_zone gone; return 410; location /gone/deep { return 404; } }
        location /cut { return 444; }
        location /if { status_zone outer; if ($arg_x) { status_zone inner; return 201; } return 200; }
    }
    server { listen 127.0.0.1:%%PORT_1%%; status_zone other; location /api { api write=on; } }
    server { listen 127.0.0.1:%%PORT_2%%; location / { return 200; } }
}
EOC
my $w = Weir->new(conf => $conf)->start;
sub ask { my ($method, $path) = @_; my $m = $w->raw("$method /api/9/http/$path HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", port => 1); return ($m->status, length $m->body ? decode_json($m->body) : undef) }
sub got { return (ask('GET', $_[0]))[1] }
is_deeply([sort keys %{ got('server_zones') }], [qw(other site)], 'servers');
is_deeply([sort keys %{ got('location_zones') }], [qw(all gone inner outer)], 'locations');
my $request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
my $bytes = 0;
for (1 .. 10) { $bytes += length $w->raw_all($request) }
ok(wait_for(sub { got('server_zones/site')->{requests} == 10 }), 'counted over all workers');
is_deeply(got('server_zones/site'), { processing => 0, requests => 10, responses => { '1xx' => 0, '2xx' => 10, '3xx' => 0, '4xx' => 0, '5xx' => 0, codes => { 200 => 10 }, total => 10 },
    discarded => 0, received => 10 * length $request, sent => $bytes }, 'all of it');
is(got('location_zones/all')->{requests}, 10, 'of the location');
is(got('location_zones/all')->{processing}, undef, 'which has no processing');
is(got('server_zones/other')->{processing}, 1, 'the request that asks');
$w->get($_) for '/gone', '/gone', '/gone/deep', '/if', '/if?x=1';
$w->raw_all("GET /cut HTTP/1.1\r\nHost: h\r\n\r\n");
ok(wait_for(sub { got('server_zones/site')->{requests} == 16 }), 'more of them');
my $site = got('server_zones/site');
is_deeply($site->{responses}{codes}, { 200 => 11, 201 => 1, 404 => 1, 410 => 2 }, 'codes');
is("$site->{responses}{total} $site->{responses}{'4xx'} $site->{discarded}", '15 3 1', 'sums');
is_deeply([map { got("location_zones/$_")->{requests} } qw(gone outer inner)], [3, 1, 1], 'the location that answers, with those in it');
is_deeply([map { join ',', sort keys %$_ } values %{ got('server_zones?fields=requests,sent') }], [('requests,sent') x 2], 'some fields');
$w->reload;
is(got('server_zones/site')->{requests}, 16, 'after a reload');
is((ask('DELETE', 'server_zones/site'))[0], 204, 'begins anew');
is(got('server_zones/site')->{requests}, 0, 'it did');
is((ask('GET', 'server_zones/none'))[1]{error}{code}, 'ServerZoneNotFound', 'no such server');
is((ask('GET', 'location_zones/none'))[1]{error}{code}, 'LocationZoneNotFound', 'no such location');
is((ask('DELETE', 'server_zones'))[0], 405, 'not all at once');
done_testing;
