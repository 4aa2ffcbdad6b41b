# A server under redis-benchmark while children write snapshots; then known data, whose digest must
# be the same after a restart from the snapshot and from the append-only file.
short=yes
packages=(redis-server redis-tools)
commands=(redis-server redis-benchmark redis-cli)
loaded=(redis-server redis-check-rdb)

ask() { redis-cli -h 127.0.0.1 -p "$port" "$@"; }
saved() { ask info persistence | grep -q 'rdb_bgsave_in_progress:0' && ask info persistence | grep -q 'aof_rewrite_in_progress:0'; }

# Not while it loads: it then answers with an error.
answers() { [ "$(ask ping)" = PONG ]; }

serve() {
    start redis-server --bind 127.0.0.1 --port "$port" --dir "$PWD" --save '' \
        --enable-debug-command yes --io-threads 2 --appendfsync no --lazyfree-lazy-expire yes "$@"
    server=$!
    eventually answers
}

work() {
    local requests=30000 server port i
    [ -z "$SHORT" ] || requests=8000
    port=$(free_port)
    serve --appendonly yes
    for i in 1 4; do
        (while ask bgsave; do sleep 0.5; done >/dev/null 2>&1) &
        local saver=$!
        redis-benchmark -h 127.0.0.1 -p "$port" -q -n "$requests" -c 40 -P 8 -r 50000 -d $((50 * i * i)) \
            -t set,get,incr,lpush,rpop,sadd,hset,zadd,spop,mset
        kill "$saver"
        wait "$saver" || true
    done
    ask bgrewriteaof
    eventually saved
    ask flushall async >"$results/flush"

    perl "$data/keys.pl" >keys
    ask --pipe <keys | tail -n 1 >"$results/loaded"
    ask debug digest >"$results/digest"
    ask --eval "$data/script.lua" >"$results/script"
    ask bgsave
    eventually saved
    ask info persistence | grep rdb_last_bgsave_status >"$results/bgsave"
    ask memory purge >"$results/purge"
    ask memory usage list1 samples 0 >/dev/null
    stop "$server"
    serve --appendonly no
    ask debug digest >>"$results/digest"
    stop "$server"
    serve --appendonly yes
    ask debug digest >>"$results/digest"
    ask shutdown nosave || true
    wait "$server"
    under redis-check-rdb dump.rdb | grep -c 'RDB looks OK' >"$results/check"
}
