# Prints commands for redis-cli --pipe: values of every type, small encodings and large ones.
use strict;
use warnings;
my $seed = 5;
sub pseudo { $seed = ($seed * 1103515245 + 12345) % 2**31; return int($seed / 65536) % $_[0] }
sub text { return join '', map { chr(97 + pseudo(26)) } 1 .. $_[0] }
sub order { print '*', scalar @_, "\r\n", map { '$' . length($_) . "\r\n$_\r\n" } @_ }
for my $i (1 .. 20000) {
    order('SET', "string$i", text(1 + pseudo($i % 100 ? 60 : 5000)));
    order('APPEND', 'string' . (1 + pseudo($i)), text(20));
    order('RPUSH', 'list' . pseudo(100), text(1 + pseudo(100)));
    order('HSET', 'hash' . pseudo(200), 'field' . pseudo(300), text(pseudo(80)));
    order('SADD', 'set' . pseudo(50), pseudo(2) ? pseudo(10000) : text(9));
    order('ZADD', 'sorted' . pseudo(20), pseudo(100000), 'member' . pseudo(5000));
    order('PFADD', 'unique', text(6));
    order('SETBIT', 'bits', pseudo(100000), pseudo(2));
    order('XADD', 'stream', "$i-1", 'a', text(10), 'b', $i) if $i % 10 == 0;
    order('DEL', 'string' . (1 + pseudo($i))) if $i % 20 == 0;
}
