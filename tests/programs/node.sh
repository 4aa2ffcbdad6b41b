# Buffers, streams, compression, cryptography, workers, child processes. What scripts make lies in
# V8's own heap; the rest of node, and what buffers hold, is in malloc's.
packages=(nodejs)
commands=(/usr/bin/node)
loaded=(node)

work() {
    under node "$data/work.js" >"$results/output"
}
