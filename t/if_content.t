# Who answers in an "if" and a limit_except that say nothing of it: the location's own, whatever it is; and where a slash is added for a gateway. As nginx.
use lib 't/lib';
use Weir;
use Weir::Compare;

sub ask { my ($method, $uri) = @_; return ("$method $uri" => "$method $uri HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n" . ($method eq 'POST' ? "Content-Length: 2\r\n\r\nab" : "\r\n")) }
my @places = qw(a b c d e f g h i j k l m n o p q r s);
my $fcgi = 'fastcgi_param REQUEST_METHOD $request_method; fastcgi_param SCRIPT_FILENAME $document_root$uri;';
Weir->compare(<<"EOC", [ map({ my $p = $_; map { ask($_->[0], "/$p/x$_->[1]") } ['GET', ''], ['GET', '?q=1'], ['POST', '?q=1'], ['POST', '?w=1'], ['GET', '?w=1&q=1'], ['DELETE', '?q=1'] } @places),
events { }
http {
    proxy_http_version 1.1;
    proxy_set_header Connection '';
    proxy_set_header Host h.test;
    fastcgi_connect_timeout 1s;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        location /a/ { if (\$arg_q) { set \$x 1; } proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location /b/ { proxy_pass http://127.0.0.1:%%PORT_1%%; if (\$arg_q) { set \$x 1; } }
        location /c/ { if (\$arg_q) { set \$x 1; } proxy_pass http://127.0.0.1:%%PORT_1%%/base/; }
        location /d/ { if (\$arg_q) { add_header X-If \$uri; } proxy_pass http://127.0.0.1:%%PORT_1%%\$uri; }
        location /e/ { if (\$arg_q) { proxy_pass http://127.0.0.1:%%PORT_1%%; } if (\$arg_w) { set \$x 1; } proxy_pass http://127.0.0.1:%%PORT_2%%; }
        location ~ ^/f/ { if (\$arg_q) { set \$x 1; } proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location /g/ { if (\$arg_q) { root /x; } proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location /h/ { if (\$arg_q) { set \$x 1; } empty_gif; }
        location /i/ { if (\$arg_q) { rewrite ^/i/(.*)\$ /j/\$1 break; } proxy_pass http://127.0.0.1:%%PORT_1%%/base/; }
        location /j/ { if (\$arg_q) { set \$x 1; } $fcgi fastcgi_pass 127.0.0.1:%%PORT_9%%; }
        location /k/ { if (\$arg_q) { set \$x 1; } scgi_pass 127.0.0.1:%%PORT_9%%; }
        location /l/ { if (\$arg_q) { set \$x 1; } uwsgi_pass 127.0.0.1:%%PORT_9%%; }
        location /m/ { if (\$arg_q) { set \$x 1; } set \$memcached_key x; memcached_pass 127.0.0.1:%%PORT_9%%; }
        location /n/ { limit_except GET { proxy_pass http://127.0.0.1:%%PORT_2%%; } if (\$arg_q) { set \$x 1; } proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location /o/ { limit_except GET { deny all; } if (\$arg_q) { expires epoch; } proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location /p/ { if (\$arg_q) { proxy_pass http://127.0.0.1:%%PORT_1%%; } }
        location /q/ { rewrite ^/q/(.*)\$ /j/\$1 break; proxy_pass http://127.0.0.1:%%PORT_1%%/base/; }
        location /r/ { rewrite ^/r/(.*)\$ /j/\$1?z=1 break; proxy_pass http://127.0.0.1:%%PORT_1%%/base; proxy_redirect off; }
        location /s/ { if (\$arg_q) { rewrite ^ /j/\$1 last; } if (\$arg_w) { rewrite ^/s/(.*) /t/\$1; break; } proxy_pass http://127.0.0.1:%%PORT_1%%/base/; }
        location = /exact/ { proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location ^~ /final/ { proxy_pass http://127.0.0.1:%%PORT_1%%; location ^~ /final/in/ { proxy_pass http://127.0.0.1:%%PORT_1%%; } location = /final/e/ { proxy_pass http://127.0.0.1:%%PORT_1%%; } }
        location /pre/ { fastcgi_pass 127.0.0.1:%%PORT_9%%; }
        location = /cgi/ { scgi_pass 127.0.0.1:%%PORT_9%%; }
        location ^~ /cgi2/ { uwsgi_pass 127.0.0.1:%%PORT_9%%; }
        location /own/ { if (\$arg_q) { proxy_pass http://127.0.0.1:%%PORT_1%%; } }
        location ~ ^/re/\$ { proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location = /both { return 200 both; }
        location /both/ { proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location ~ /(final|exact)\$ { return 200 regex; }
    }
    server { listen 127.0.0.1:%%PORT_1%%; return 200 "one \$request_method \$request_uri \$http_x_limit \$http_x_if"; }
    server { listen 127.0.0.1:%%PORT_2%%; return 200 "two \$request_method \$request_uri"; }
}
EOC
    map({ ask(GET => $_) } qw(/exact /exact/ /exact/x /exact?a=1 /final /final/ /final/x /final/in /final/in/ /final/e /final/e/ /pre /cgi /cgi2 /own /own?q=1 /re /both /both/ /both/x)), ask(POST => '/final') ],
    files => { map { ("html/$_/x" => "file $_\n") } @places });
done_testing;
