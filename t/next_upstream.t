# …_next_upstream: each condition alone, and all others without it, for servers of each protocol; beside nginx.
use lib 't/lib';
use Weir;
use Weir::FastCGI;

my @http = (['error', 502], ['timeout', 504], ['invalid_header', 502], (map { ["http_$_", $_] } qw(500 503 403 404 429)));
my %conditions = (
    proxy => [@http, ['http_502', 502], ['http_504', 504]], fastcgi => \@http, scgi => \@http, uwsgi => \@http,
    memcached => [['error', 502], ['timeout', 504], ['invalid_response', 502], ['not_found', 404]],
);
my @kinds = sort keys %conditions;

# What is asked for: "/KIND/CONDITION/…".
my %read = (
    proxy => sub { my $req = Weir::Message->read($_[0], 'request') or return; $req->uri },
    fastcgi => sub { my $req = Weir::FastCGI::read_request($_[0]) or return; $req->{params}{DOCUMENT_URI} },
    scgi => sub { my $conn = shift; my $n = ''; while (defined(my $c = $conn->bytes(1))) { return unless length $c; last if $c eq ':'; $n .= $c } my @p = split /\0/, $conn->bytes($n + 1), -1; pop @p; my %p = @p; my $body = $conn->bytes($p{CONTENT_LENGTH} || 0); $p{DOCUMENT_URI} },
    uwsgi => sub { my $conn = shift; my (undef, $n) = unpack 'CvC', $conn->bytes(4); my ($in, %p) = $conn->bytes($n); while (length $in) { my ($k, $v) = unpack 'v/a v/a', $in; substr $in, 0, 4 + length($k) + length $v, ''; $p{$k} = $v } my $body = $conn->bytes($p{CONTENT_LENGTH} || 0); $p{DOCUMENT_URI} },
    memcached => sub { my $line = $_[0]->line // return; $line =~ /^get (\S+)/ ? $1 : undef },
);
sub say_it {
    my ($kind, $conn, $key, $status, $text) = @_;
    my $n = length $text;
    return $conn->send("HTTP/1.1 $status X\r\nContent-Length: $n\r\nConnection: close\r\n\r\n$text") if $kind eq 'proxy';
    return $conn->send($status == 404 ? "END\r\n" : "VALUE $key 0 $n\r\n$text\r\nEND\r\n") if $kind eq 'memcached';
    my $answer = "Status: $status X\r\nContent-Length: $n\r\nContent-Type: text/plain\r\n\r\n$text";
    return $conn->send($kind eq 'fastcgi' ? Weir::FastCGI::records(6, $answer) . Weir::FastCGI::end() : $answer);
}
my (%bad, %good);
for my $kind (@kinds) {
    $bad{$kind} = Weir::Backend->new(sub {
        my ($conn) = @_;
        my $uri = $read{$kind}->($conn) // return;
        my ($how) = $uri =~ m{^/$kind/(\w+)};
        if ($how eq 'timeout') { $conn->closed(100) }
        elsif ($how =~ /^invalid/) { $conn->send($kind eq 'fastcgi' ? Weir::FastCGI::records(6, "what is this\r\n\r\n") . Weir::FastCGI::end() : $kind eq 'proxy' ? "HTTP/1.1 200 OK\r\nwhat is this\r\n\r\n" : "what is this\r\n\r\n"); $conn->closed(20) }
        elsif ($how =~ /^http_(\d+)/) { say_it($kind, $conn, $uri, $1, 'bad') }
        elsif ($how eq 'not_found') { say_it($kind, $conn, $uri, 404, '') }
        $conn->close;
    }, connection => 1, quiet => 1);
    $good{$kind} = Weir::Backend->new(sub { my ($conn) = @_; my $uri = $read{$kind}->($conn) // return; say_it($kind, $conn, $uri, 200, 'good'); $conn->close }, connection => 1, quiet => 1);
}

my ($upstreams, $locations, @cases) = ('', '');
for my $kind (@kinds) {
    my @all = map { $_->[0] } @{ $conditions{$kind} };
    $upstreams .= "    upstream $kind { server " . $bad{$kind}->addr . ' max_fails=0; server ' . $good{$kind}->addr . " backup; }\n";
    my $more = $kind eq 'proxy' ? "proxy_pass http://proxy;" : "${kind}_pass $kind;";
    $more .= " ${kind}_param CONTENT_LENGTH \$content_length if_not_empty; ${kind}_param DOCUMENT_URI \$document_uri;" if $kind eq 'fastcgi' || $kind eq 'uwsgi';
    $more .= " scgi_param CONTENT_LENGTH \$content_length; scgi_param DOCUMENT_URI \$document_uri;" if $kind eq 'scgi';
    $more = "set \$memcached_key \$uri; $more" if $kind eq 'memcached';
    my $place = sub {
        my ($path, $words, $method, $want) = @_;
        my $soon = $path =~ /timeout/ ? "${kind}_read_timeout 8s; " : '';
        $locations .= "        location = /$kind/$path { $soon${kind}_next_upstream $words; $more }\n";
        push @cases, [$method, "/$kind/$path", $want];
    };
    for my $c (@{ $conditions{$kind} }) {
        my ($name, $status) = @$c;
        $place->("$name/alone", $name, 'GET', '200 good');
        $place->("$name/others", join(' ', grep { $_ ne $name } @all), 'GET', $status);
        $place->("$name/off", 'off', 'GET', $status) if $name !~ /timeout/;
    }
    next if $kind eq 'memcached';
    $place->('error/post', 'error', 'POST', 502);
    $place->('error/postagain', 'error non_idempotent', 'POST', '200 good');
    $place->('http_503/post', 'http_503', 'POST', 503);
    $place->('http_503/postagain', 'http_503 non_idempotent', 'POST', '200 good');
}
my $conf = <<"EOC";
worker_processes 2;
events { }
http {
$upstreams
    server {
        listen 127.0.0.1:%%PORT_0%%;
$locations
    }
}
EOC

for my $binary ($Weir::nginx, undef) {
    my $w = Weir->new(conf => $conf, $binary ? (binary => $binary) : ())->start;
    my (%seen, @left);
    @left = sort { ($b->[1] =~ /timeout/ ? 1 : 0) <=> ($a->[1] =~ /timeout/ ? 1 : 0) } @cases;       # those that take long at once
    while (my @now = splice @left, 0, 10) {
        my @c = map { my $c = $w->connect(timeout => 100); $c->request($_->[0], $_->[1], headers => [Connection => 'close'], $_->[0] eq 'POST' ? (body => 'x') : ()); $c } @now;
        for my $i (0 .. $#now) {
            my $m = eval { $c[$i]->response };
            $seen{ $now[$i][1] } = !$m ? 'nothing' : $m->status == 200 ? '200 ' . $m->body : $m->status;
        }
    }
    my $who = $binary ? 'nginx' : 'weir';
    for my $kind (@kinds) {
        my @of = grep { $_->[1] =~ m{^/$kind/} } @cases;
        is_deeply({ map { ($_->[1] => $seen{ $_->[1] }) } @of }, { map { ($_->[1] => $_->[2]) } @of }, "$who: $kind, " . @of . ' places');
    }
    $w->stop;
}
done_testing;
