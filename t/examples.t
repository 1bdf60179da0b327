# conf/examples/*.conf: each is understood as it stands, once the files that it names are there.
use lib 't/lib';
use Weir;
use Weir::Pem;

my $pem = Weir::Pem->new(Weir::scratch() . '/pem')->ca('ca')->crl('ca');
my %of = (pem => $pem->read('ca.pem'), key => $pem->read('ca.key'), crl => $pem->read('ca.crl'), json => '{ }', users => '', txt => "blocked.example.net\n", 'ticket.key' => 'x' x 80, login => "weir:secret\n", list => "192.0.2.0/24\n");
my @examples = glob "$Weir::top/conf/examples/*.conf";
ok(@examples >= 10, @examples . ' examples');
for my $file (@examples) {
    my ($name) = $file =~ m{([^/]+)$};
    my $conf = Weir::slurp($file);
    (my $text = $conf) =~ s/#.*//mg;
    my %files;
    for my $named ($text =~ /[\s=]((?:[\w-]+\.(?:pem|key|crl|json|txt|login|list))|users)\s*[; ]/g) { $files{$named} = $of{$named} // $of{ $named =~ /(\w+)$/ ? $1 : '' } }
    my $w = Weir->new(conf => $conf, files => \%files);
    my ($code, $said) = $w->t_binary;
    is($code, 0, "$name: -t") or diag $said;
    unlike($said, qr/\[(emerg|alert|error)\]/, "$name: without an error") or diag $said;
}
done_testing;
