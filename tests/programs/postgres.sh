# initdb, then a server under pgbench and under queries that sort, hash, aggregate and sort on disk.
packages=(postgresql)
commands=(/usr/lib/postgresql/*/bin/initdb)
loaded=(initdb postgres)

work() {
    local bin server port
    bin=$(dirname "$(ls -d /usr/lib/postgresql/*/bin/initdb | tail -n 1)")
    port=$(free_port)
    own_directory state
    export HOME=$PWD/state PGHOST=127.0.0.1 PGPORT=$port PGUSER=test
    under "${user[@]}" "$bin/initdb" -D state/data -U test -A trust -E UTF8 --locale=C.UTF-8
    start "${user[@]}" "$bin/postgres" -D state/data -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories= -c port="$port" -c fsync=off -c work_mem=1MB \
        -c shared_buffers=32MB -c jit=on -c jit_above_cost=20000 -c max_parallel_workers_per_gather=2
    server=$!
    eventually "$bin/pg_isready"
    "$bin/createdb" test
    "$bin/pgbench" -i -q -s 5 test
    "$bin/pgbench" -n -c 4 -j 2 -t 1000 --random-seed=5 test | grep 'actually processed' >"$results/bench"
    "$bin/pgbench" -n -c 4 -j 2 -t 1000 -S -M prepared test | grep 'actually processed' >>"$results/bench"
    # Connections of their own: a process each.
    "$bin/pgbench" -n -c 4 -t 50 -C -S test | grep 'actually processed' >>"$results/bench"
    "$bin/psql" -X -At -v ON_ERROR_STOP=1 -f "$data/queries.sql" test >"$results/queries"
    "$bin/pg_dump" -t words test | sed '/^\\\(un\)\?restrict /d' | sha256sum >"$results/dump"
    stop "$server" INT
    grep -c 'terminated by signal' ../stderr >"$results/crashes" || true
}
