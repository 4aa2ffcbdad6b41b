# Import, index, query and vacuum of 500,000 rows by the shell.
short=yes
packages=(sqlite3)
commands=(/usr/bin/sqlite3)
loaded=(sqlite3)

work() {
    local rows=500000
    [ -z "$SHORT" ] || rows=100000
    awk -v rows="$rows" 'BEGIN {
        srand(3)
        for (i = 1; i <= rows; i++)
            printf "%d,name %d,%d,\"text, with %s\"\n", i, int(rand() * rows), int(rand() * 1e9),
                substr("abcdefghijklmnopqrstuvwxyz0123456789", 1 + int(rand() * 30))
    }' >rows.csv
    under sqlite3 -batch test.db <"$data/rows.sql" >"$results/answers"
    under sqlite3 test.db .dump | sha256sum >"$results/dump"
    under sqlite3 test.db .dump | under sqlite3 copy.db
    sqlite3 copy.db 'select count(*), sum(number) from rows' >"$results/copy"
}
