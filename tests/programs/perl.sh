# Hashes, regular expressions, sorting, serialising, forks, threads: all strings and scalars.
packages=(perl)
commands=(/usr/bin/perl)
loaded=(perl)

work() {
    PERL_HASH_SEED=0 under perl "$data/work.pl" >"$results/output"
}
