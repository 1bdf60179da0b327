# What variables, logs and upstreams see of a request's body, for each way to keep one, beside nginx.
use lib 't/lib';
use Weir;
use Weir::Compare;
use Digest::MD5 qw(md5_hex);

my $back = Weir::Backend->new(sub {
    my ($req) = @_;
    my ($file) = $req->header('X-File');
    return [200, ['Content-Type' => 'text/plain'], join '', map { $_ // '' } $req->method, ' ', $req->uri, ' ', length $req->body, ' ', md5_hex($req->body), "\n",
        map({ "$_->[0]: " . (length $_->[1] > 200 ? length($_->[1]) . ' ' . md5_hex($_->[1]) : $_->[1] =~ s{/\S*/(\d+)$}{length($1) . ' digits'}er) . "\n" } grep { defined $_->[1] && $_->[0] !~ /^(Host|Connection)$/ } sort { $a->[0] cmp $b->[0] } @{ $req->headers }),
        'file: ', ($file ? length(Weir::slurp($file)) : 'none'), "\n"];
});
my $conf = <<'EOC';
events { }
http {
    proxy_http_version 1.1; proxy_set_header Connection "";
    client_body_temp_path %%TESTDIR%%/bodies 1 2;
    log_format body '$uri|$request_body|$content_type|$status';
    log_format json escape=json '{"uri":"$uri","body":"$request_body"}';
    access_log %%TESTDIR%%/body.log body;
    access_log %%TESTDIR%%/json.log json;
    proxy_set_header X-Body $request_body;
    proxy_set_header X-Length $content_length;
    proxy_set_header X-Type $content_type;
    client_max_body_size 100k;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location /up/ { proxy_pass http://%%BACK%%; }
        location /single/ { client_body_in_single_buffer on; proxy_pass http://%%BACK%%/up/; }
        location /small/ { client_body_buffer_size 100; proxy_pass http://%%BACK%%/up/; }
        location /smallsingle/ { client_body_buffer_size 100; client_body_in_single_buffer on; proxy_pass http://%%BACK%%/up/; }
        location /file/ { client_body_in_file_only on; proxy_set_header X-Body $request_body; proxy_set_header X-File $request_body_file; proxy_pass http://%%BACK%%/up/; }
        location /clean/ { client_body_in_file_only clean; proxy_set_header X-Body $request_body; proxy_set_header X-File $request_body_file; proxy_pass http://%%BACK%%/up/; }
        location /nobody/ { proxy_pass_request_body off; proxy_set_header X-Body $request_body; proxy_set_header Content-Length ""; proxy_pass http://%%BACK%%/up/; }
        location /onlyfile/ { client_body_in_file_only clean; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header X-File $request_body_file; proxy_pass http://%%BACK%%/up/; }
        location /set/ { proxy_set_body "[$request_body]"; proxy_pass http://%%BACK%%/up/; }
        location /stream/ { proxy_request_buffering off; proxy_set_header X-Length $content_length; proxy_pass http://%%BACK%%/up/; }
        location /max/ { client_max_body_size 10; proxy_pass http://%%BACK%%/up/; location /max/none/ { client_max_body_size 0; proxy_pass http://%%BACK%%/up/; } }
        location /maxpage/ { client_max_body_size 10; error_page 413 /why; }
        location /maxnamed/ { client_max_body_size 10; error_page 413 = @named; }
        location @named { proxy_pass http://%%BACK%%; }
        location = /why { return 200 "too large: $uri $request_method $request_body"; }
        location /return/ { return 200 "[$request_body]"; }
        location /static/ { alias %%TESTDIR%%/html/; }
        location /post/ { error_page 405 =200 /static/a.txt; alias %%TESTDIR%%/html/; }
        location /mirror/ { mirror /m; proxy_pass http://%%BACK%%/up/; }
        location = /m { internal; proxy_pass http://%%BACK%%/mirrored; }
        location /mirrornot/ { mirror /m2; mirror_request_body off; alias %%TESTDIR%%/html/; error_page 405 =200 /why; }
        location = /m2 { internal; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://%%BACK%%/mirrored; }
        location /hdr/ { add_header X-Body $request_body; add_header X-Len $content_length; proxy_pass http://%%BACK%%/up/; }
        location /index/ { index a.txt; alias %%TESTDIR%%/html/; }
        location /try/ { try_files /none @named; }
        location /map/ { set $x "$request_body"; proxy_set_header X-Set "<$x>"; proxy_pass http://%%BACK%%/up/; }
    }
}
EOC
my %files = ('html/a.txt' => "a file\n", 'html/index/x' => 'x');
sub chunks { my ($body, $n) = @_; return join('', map { sprintf("%x\r\n%s\r\n", length $_, $_) } $body =~ /(.{1,$n})/sg) . "0\r\n\r\n" }
my %body = (none => undef, empty => '', five => 'hello', odd => "quo\"te\\ \x01\x80\xff{\"a\":\"\t\"}", lines => "a\r\nb: c\n\nd\re", hundred => 'h' x 100, more => 'm' x 101, large => join('', map { chr 33 + $_ % 90 } 1 .. 40000), huge => 'x' x 100_001);
sub ask {
    my ($uri, $body, $way, @fields) = @_;
    my $text = $body{$body};
    my $method = $way =~ /^(GET|PUT|DELETE|HEAD)$/ ? $1 : 'POST';
    my $bytes = "$method $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields);
    $bytes .= $way =~ /^chunks (\d+)/ ? "Transfer-Encoding: chunked\r\n\r\n" . chunks($text, $1) : (defined $text ? 'Content-Length: ' . length($text) . "\r\n" : '') . "\r\n" . ($text // '');
    return ("$way $uri $body @fields" => $bytes);
}
my @all;
for my $uri (map { "/$_/x" } qw(up single small smallsingle file clean nobody onlyfile set stream max max/none return hdr mirror map)) {
    push @all, map { ask($uri, $_, 'length') } qw(none empty five odd hundred), $uri =~ /small/ ? () : 'more', 'large';   # nginx keeps in memory what came with the head
    next if $uri =~ /stream/;
    push @all, map { ask($uri, $_->[0], "chunks $_->[1]") } ['empty', 1], ['five', 1], ['five', 100], ['odd', 3], $uri =~ /small/ ? () : ['more', 7], ['large', 1000];
    push @all, ask($uri, 'five', 'length', 'Content-Type: application/x-www-form-urlencoded'), ask($uri, 'five', 'PUT'), ask($uri, 'five', 'GET'), ask($uri, 'huge', 'length');
}
push @all, map { ask($_, 'lines', 'length') } qw(/up/x /return/x /static/a.txt);
push @all, map { my $u = $_; map { ask($u, @$_) } ['none', 'length'], ['five', 'length'], ['five', 'chunks 2'], ['large', 'length'], ['five', 'GET'], ['huge', 'length'], ['large', 'chunks 999'], [ 'huge', 'chunks 9999' ] } qw(/maxnamed/x /maxpage/x /why);
push @all, map { my $u = $_; map { ask($u, @$_) } ['none', 'length'], ['five', 'length'], ['five', 'chunks 2'], ['large', 'length'], ['five', 'GET'], ['huge', 'length'], ['large', 'chunks 999'] } qw(/static/a.txt /static/none /post/a.txt /mirrornot/a.txt /index/ /try/x);

# The next request on the connection is the next one, whatever became of the body.
sub then {
    my ($name, $bytes) = @_;
    $bytes =~ s/Connection: close\r\n//;
    return ("then $name" => sub {
        my $c = shift->connect;
        $c->send($bytes . "GET /static/a.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        my $m = $c->response;
        my $next = $c->response;
        push @{ $m->{headers} }, ['X-Next', $next ? $next->status . ' ' . $next->body : 'none'] if $m;
        return $m;
    });
}
push @all, map { then(ask($_, 'five', 'length')), then(ask($_, 'odd', 'chunks 2')), then(ask($_, 'large', 'length')), then(ask($_, 'large', 'chunks 5000')) } qw(/return/x /static/a.txt /static/none /up/x /file/x /mirrornot/a.txt);

my ($n, $w) = Weir->compare($conf, \@all, differ => {
    'length /up/x lines ' => 'a line break cannot be in a field: the field is left out' }, files => \%files, vars => { BACK => $back->addr });
$_->stop for $n, $w;
for my $name (qw(body.log json.log)) {
    my @l = map { my @a = sort grep { !m{/(map|stream)/} } split /\n/, $_->access_log($name); \@a } $n, $w;
    is(scalar @{ $l[1] }, scalar @{ $l[0] }, "$name: as many lines as nginx");
    my $bad = 0;
    for (0 .. $#{ $l[0] }) { is($l[1][$_], $l[0][$_], "$name: line $_") if $l[1][$_] ne $l[0][$_] && $bad++ < 5 }
    is($bad, 0, "$name: as nginx");
}
is(join(' ', map { glob "$_->{dir}/bodies/*/*/*" } $w) =~ tr/ //, join(' ', map { glob "$_->{dir}/bodies/*/*/*" } $n) =~ tr/ //, 'as many files are left');
done_testing;
