# What perl programs do, with output that depends on nothing but this file.
use strict;
use warnings;
use threads;
use Digest::SHA 'sha256_hex';
use JSON::PP;
use List::Util qw(shuffle sum reduce);
use Scalar::Util 'weaken';
use Storable qw(freeze thaw dclone);
use Encode;
$| = 1;

my $seed = 11;
sub pseudo { $seed = ($seed * 1103515245 + 12345) % 2**31; return int($seed / 65536) % $_[0] }
sub word { return join '', map { chr(97 + pseudo(26)) } 1 .. 1 + pseudo(12) }

my @words = map { word() } 1 .. 200_000;
my %count;
$count{$_}++ for @words;
my @top = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print scalar(@top), " @top[0 .. 9]\n";
delete $count{$_} for @top[0 .. $#top / 2];
print sha256_hex(join ' ', sort { $a cmp $b } keys %count), "\n";

my $text = join ' ', @words;
my $found = () = $text =~ /\b(\w)\w*\1\b/g;
(my $changed = $text) =~ s/(\w+) (\w+)/$2 $1/g;
$changed =~ tr/a-m/n-z/;
print "$found ", sha256_hex($changed), "\n";
my @split = split /[aeiou]+/, $text;
print scalar(@split), ' ', length(join ',', map { ucfirst } @split), "\n";

my %tree;
for my $word (@words[0 .. 20000]) {
    my $node = \%tree;
    for my $letter (split //, $word) {
        $node->{next}{$letter} ||= { up => $node };
        $node = $node->{next}{$letter};
        weaken($node->{up});
    }
    push @{ $node->{words} }, $word;
}
sub depth { my $n = shift; return 1 + (sort { $b <=> $a } 0, map { depth($_) } values %{ $n->{next} || {} })[0] }
print 'depth ', depth(\%tree), "\n";

my $data = { map { $_ => [ map { { name => word(), value => pseudo(1000) } } 1 .. 50 ] } 1 .. 60 };
my $json = JSON::PP->new->canonical;
my $once = $json->encode($data);
my $same = $json->encode(dclone(thaw(freeze($json->decode($once)))));
print length($once), ' ', ($once eq $same ? 'same' : 'different'), ' ', sha256_hex($same), "\n";

my $wide = join '', map { chr(0x100 + pseudo(0x2000)) } 1 .. 100_000;
print sha256_hex(Encode::encode('UTF-8', lc $wide)), ' ', length(Encode::encode('UTF-16LE', $wide)), "\n";

my @closures = map { my $n = $_; my @own = (1 .. $n % 50); sub { $n += sum(0, @own); return $n } } 1 .. 20_000;
print sum(map { $_->() } @closures), "\n";
@closures = ();

for my $child (1 .. 20) {
    pipe(my $in, my $out) or die;
    my $pid = fork // die;
    if (!$pid) {
        close $in;
        my @own = map { $_ x $child } @words[$child * 1000 .. $child * 1000 + 999];
        print $out sha256_hex("@own"), "\n";
        close $out;
        exit $child;
    }
    close $out;
    print <$in>;
    waitpid $pid, 0;
    print $? >> 8, "\n";
}

my @threads = map { my $n = $_; threads->create(sub { my %own = map { $_ . $n => 1 } @words[0 .. 3000]; return scalar keys %own }) } 1 .. 4;
print join(' ', map { $_->join } @threads), "\n";
print reduce { length($a) > length($b) ? $a : $b } map { eval "sub { '$_' x 3 }->()" } @words[0 .. 3000];
print "\n";
for (1 .. 2000) { eval { die { code => $_, words => [ @words[0 .. 20] ] } }; die unless $@->{code} == $_ }
