# Prints a stream for git fast-import: so many commits, each to one of 40 files of some length.
use strict;
use warnings;
my $seed = 1;
sub pseudo { $seed = ($seed * 1103515245 + 12345) % 2**31; return int($seed / 65536) % $_[0] }
my @files = map { [ map { "line $_ of many" } 1 .. 50 + 10 * $_ ] } 0 .. 39;
for my $number (1 .. $ARGV[0]) {
    my $which = $number % 7 == 0 ? 1 : pseudo(40);
    my $lines = $files[$which];
    for (1 .. 1 + pseudo(5)) {
        my $at = pseudo(scalar @$lines);
        my $words = join ' ', map { ('needle', 'hay', 'straw', $number)[pseudo(4)] . pseudo(1000) } 1 .. 8;
        pseudo(2) ? splice(@$lines, $at, 0, $words) : ($lines->[$at] = $words);
    }
    my $text = join("\n", @$lines) . "\n";
    my $time = 1600000000 + 60 * $number;
    print "commit refs/heads/main\ncommitter A U Thor <a\@example.invalid> $time +0000\n";
    print "data ", length("change $number"), "\nchange $number\n";
    print "M 100644 inline file$which\ndata ", length($text), "\n$text\n";
}
