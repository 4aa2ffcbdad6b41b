# Hashes of strings, sorting and regular expressions.
use strict;
use warnings;

my $scale = $ARGV[0];
my $rounds = int(16 * $scale) || 1;
for my $round (1 .. $rounds) {
    my %seen;
    for my $i (1 .. 30_000) {
        my $word = sprintf("w%x", ($i * 40503) % 65521);
        push @{ $seen{ substr($word, 0, 4) } }, { word => $word, at => $i };
    }
    my @order = sort { @{ $seen{$a} } <=> @{ $seen{$b} } || $a cmp $b } keys %seen;
    my $text = join "\n", map { "$_: " . join(",", map { $_->{word} } @{ $seen{$_} }) } @order;
    my $count = () = $text =~ /\b(w[0-9a-f]*7[0-9a-f]*)\b/g;
    my @lines = split /\n/, $text;
    s/([0-9a-f]{2})/<$1>/g for @lines;
}
