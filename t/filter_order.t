# Filters together, in a page and in what is included into it: addition, sub, charset, ssi, gzip, each in its place.
use lib 't/lib';
use Weir;
my $back = Weir::Backend->new(sub { my ($req) = @_; return [200, ['Content-Type' => 'text/html' . ($req->uri =~ /koi/ ? '; charset=koi8-r' : '')], $req->uri =~ /koi/ ? "\xd0\xd2 one" : "\xd0\xb9 one <!--#echo var=\"uri\" -->"] });
my $conf = <<'EOC';
events { }
http {
    types { text/html html; text/plain txt; }
    charset_map koi8-r utf-8 { D0 D0BF; D2 D180; CA D0B9; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%TESTDIR%%/html;
        ssi on;
        gzip_min_length 0;
        sub_filter one ONE; sub_filter_once off;
        location /all/ { gzip on; charset utf-8; add_before_body /b.txt; add_after_body /up/x; alias %%TESTDIR%%/html/; }
        location /conv/ { gzip on; charset utf-8; source_charset koi8-r; alias %%TESTDIR%%/html/; }
        location /up/ { proxy_pass http://%%BACK%%; }
        location /upkoi/ { source_charset koi8-r; charset koi8-r; proxy_pass http://%%BACK%%; }
        location /plain/ { gzip on; charset utf-8; source_charset koi8-r; override_charset on; ssi off; add_before_body /b.txt; add_after_body /upkoi/x; alias %%TESTDIR%%/html/; }
    }
}
EOC
my %files = ('html/b.txt' => "b one\n", 'html/p.html' => "one \xd0\xb9 <!--#include virtual=\"/b.txt\" --> <!--#echo var=\"arg_x\" --> <!--#include virtual=\"/up/x\" -->", 'html/k.html' => "one \xd0 \xd2 \xca <!--#include virtual=\"/upkoi/x\" --><!--#include virtual=\"/up/x\" --><!--#include virtual=\"/b.txt\" -->");
sub gz { my $uri = shift; return sub { my $m = shift->raw("GET $uri HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"); require Compress::Zlib; $m->{body} = 'un: ' . Compress::Zlib::memGunzip($m->body) if ($m->header('Content-Encoding') // '') eq 'gzip'; $m } }
Weir->compare($conf, [ map({ ($_ => "GET $_ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "gzip $_" => gz($_)) } qw(/all/p.html?x=one /conv/k.html /conv/p.html /plain/k.html /plain/p.html /upkoi/x /up/one)) ], files => \%files, vars => { BACK => $back->addr });
done_testing;
