# Strings, arrays, hashes, big numbers, threads, forks and garbage collection.
packages=(ruby)
commands=(/usr/bin/ruby)
loaded=(ruby)

work() {
    under ruby "$data/work.rb" >"$results/output"
}
