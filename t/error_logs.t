# error_log of servers and locations, with levels, several at a place, and by what a request comes to; the same lines as nginx in each.
use lib 't/lib';
use Weir;
use Weir::Compare;

my $conf = <<'EOC';
error_log %%TESTDIR%%/main.log info;
events { }
http {
    types { text/html html; }
    error_log %%TESTDIR%%/http.log error;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        error_log %%TESTDIR%%/server.log info;
        location /own/ { error_log %%TESTDIR%%/own.log error; }
        location /two/ { error_log %%TESTDIR%%/two-a.log notice; error_log %%TESTDIR%%/two-b.log crit; rewrite_log on; rewrite ^/two/r/(.*)$ /own/$1; }
        location /crit/ { error_log %%TESTDIR%%/crit.log crit; }
        location /emerg/ { error_log %%TESTDIR%%/emerg.log emerg; deny all; }
        location /null/ { error_log /dev/null; }
        location /quiet/ { log_not_found off; }
        location /deny/ { deny all; }
        location /rw/ { rewrite_log on; error_log %%TESTDIR%%/rw.log notice; rewrite ^/rw/a/(.*)$ /rw/b/$1 break; if ($uri ~ b) { set $x "$nosuch"; } return 200 "$nosuch2|$x"; set $nosuch ""; set $nosuch2 ""; }
        location /warnoff/ { uninitialized_variable_warn off; error_log %%TESTDIR%%/warnoff.log warn; return 200 "$nosuch"; }
        location /err/ { error_page 404 /own/page.html; error_log %%TESTDIR%%/err.log error; }
        location /named/ { try_files /none @n; error_log %%TESTDIR%%/named.log error; }
        location @n { error_log %%TESTDIR%%/n.log error; root %%TESTDIR%%/html; }
        location /dir/ { alias %%TESTDIR%%/html/d/; error_log %%TESTDIR%%/dir.log error; }
        location /index/ { index none; alias %%TESTDIR%%/html/d/; }
        location /int/ { internal; error_log %%TESTDIR%%/int.log info; }
        location /loop/ { rewrite ^ /loop/x last; error_log %%TESTDIR%%/loop.log error; }
        location /big/ { client_max_body_size 1; error_log %%TESTDIR%%/big.log error; }
        location /dead/ { proxy_pass http://127.0.0.1:%%PORT_9%%; error_log %%TESTDIR%%/dead.log error; }
        location /ssi/ { ssi on; alias %%TESTDIR%%/html/s/; error_log %%TESTDIR%%/ssi.log error; }
        location /auth/ { auth_basic r; auth_basic_user_file %%TESTDIR%%/users; error_log %%TESTDIR%%/auth.log info; }
        location /nouser/ { auth_basic r; auth_basic_user_file %%TESTDIR%%/nofile; error_log %%TESTDIR%%/auth.log info; }
        location /links/ { disable_symlinks on; error_log %%TESTDIR%%/links.log error; alias %%TESTDIR%%/html/; }
        location /perm/ { error_log %%TESTDIR%%/perm.log error; alias %%TESTDIR%%/html/a.html/; }
        location /long/ { error_log %%TESTDIR%%/long.log error; }

    }
    server { listen 127.0.0.1:%%PORT_1%%; server_name second.test; root %%TESTDIR%%/html; }
    server { listen 127.0.0.1:%%PORT_1%%; server_name third.test; root %%TESTDIR%%/html; error_log %%TESTDIR%%/third.log; }
}
EOC
my %files = ('html/a.html' => 'a', 'html/d/x' => 'x', 'html/s/i.html' => '<!--#include virtual="/own/none" --><!--#wrong -->', users => "u:{PLAIN}p\n");
sub ask { my ($method, $uri, @fields) = @_; return ("$method $uri @fields" => "$method $uri HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n" . join('', map { "$_\r\n" } @fields) . "\r\n") }
sub at1 { my ($host, $uri) = @_; return ("$host $uri" => sub { $_[0]->raw("GET $uri HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n\r\n", port => 1) }) }
my @all = (map({ ask(GET => $_) } qw(/none /own/none /two/none /two/r/none /crit/none /emerg/x /null/none /quiet/none /deny/x /rw/a/x /rw/q /warnoff/x /err/none /named/x /dir/ /dir/none /index/ /int/x /loop/x /dead/x /ssi/i.html /auth/x /nouser/x /links/link /perm/x /a.html/ /a.html/x /d/ /%00 /..)),
    ask(GET => '/auth/x', 'Authorization: Basic dTpx'), ask(GET => '/auth/x', 'Authorization: Basic eDpw'), ask(GET => '/auth/x', 'Authorization: Basic dTpw'), ask(GET => '/own/none', 'Referer: http://r.test/', 'User-Agent: u'), ask(POST => '/big/x', 'Content-Length: 5'), ask(POST => '/a.html', 'Content-Length: 0'), ask(GET => '/long/' . 'l' x 300),
    map({ at1($_, '/none') } qw(second.test third.test other)), 'no host' => "GET /own/none HTTP/1.0\r\n\r\n", 'no version' => "GET /own/none\r\n");
my ($n, $w) = Weir->compare($conf, \@all, files => \%files, warm => sub { symlink 'a.html', shift->dir . '/html/link' });
$_->stop for $n, $w;
# Without times, numbers of processes and connections, and words about what the server was doing.
sub lines {
    my ($s, $file) = @_;
    my ($p, $q, $r) = map { $s->port($_) } 0, 1, 9;
    return join '', sort map { "$_\n" } map { s/^\S+ \S+ //r =~ s/ \d+#\d+: (?:\*\d+ )?/ /r =~ s/\Q$s->{dir}\E/DIR/gr =~ s/:$p\b/:P0/gr =~ s/:$q\b/:P1/gr =~ s/:$r\b/:P9/gr =~ s/ while (?:sending|reading|logging)[a-z ]*(?=,)//r =~ s/client sent (?:invalid request|a request target that leads above the root|an encoded NUL in the request target)/client sent what is wrong/r } grep { !/closed keepalive|client closed|prematurely/ } split /\n/, Weir::slurp($file);
}
my %names = map { (m{/([^/]+\.log)$} ? ($1 => 1) : ()) } glob "$n->{dir}/*.log $w->{dir}/*.log";
delete $names{'main.log'};
delete $names{'access.log'};
is(lines($w, "$w->{dir}/$_"), lines($n, "$n->{dir}/$_"), "$_: as nginx") for sort keys %names;
done_testing;
