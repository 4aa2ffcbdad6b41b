# Looks at what a plain and a hardened run left: sourced by `run`.

# Rows of the launchers' reports below a directory as "violations<TAB>peak<TAB>program".
#   PID  PROGRAM [(fork)]  ENDED  PEAK  LIVE AT END  OBJECTS  GUARDS  VIOLATIONS
rows() {
    find "$1" -type f ! -name notes -exec cat {} + | awk '
        / PID +PROGRAM +ENDED / { table = 1; next }
        table && $1 ~ /^[0-9]+$/ && NF > 8 && !/^ +[0-9]+: / {
            # From the right: violations, guards, objects, live, peak, a number and a unit each.
            print $NF "\t" $(NF - 7) " " $(NF - 6) "\t" $2
            next
        }
        { table = 0 }'
}

# Prints what is wrong, and what is worth knowing; fails if something is wrong.
examine() { # DIRECTORY STATUS LOADED
    local directory=$1 status=$2 wrong=0 name found rows
    local hardened="$directory/hardened"
    if ((status != 0)); then
        echo "status $status$( ((status == 124)) && echo ' (took too long)')"
        tail -n 8 "$hardened/stderr"
        wrong=1
    fi
    if ! diff -r "$directory/plain/results" "$hardened/results" >"$directory/differences"; then
        echo "the results differ:"
        head -n 12 "$directory/differences" | cut -c 1-200
        wrong=1
    fi
    # The heap's own words, wherever a process may have written them.
    found=$(grep -arhE '^casemate: ' "$hardened" | grep -vE '^casemate: (heap report|note): ?' |
        grep -v '^casemate: heap report,' | sort -u | head -n 12) || true
    if [ -n "$found" ]; then
        echo "$found"
        wrong=1
    fi
    rows=$(rows "$hardened/logs")
    if grep -qvE $'^0\t' <<<"$rows"; then
        echo "violations, or no report at all:"
        grep -vE $'^0\t' <<<"$rows"
        wrong=1
    fi
    for name in $3; do
        awk -F '\t' -v name="${name%:own}" -v own="${name##*:}" '
            { sub(".*/", "", $3) }
            # Below 1 KiB: what something takes before the malloc of its own is found.
            $3 == name && (own == "own" ? $2 ~ / B$/ : $2 != "0 B") { found = 1 }
            END { exit !found }' <<<"$rows" && continue
        echo "not in the report as it should be: $name"
        wrong=1
    done
    echo "$(grep -c . <<<"$rows") processes in the report"
    cat "$hardened/logs/notes" 2>/dev/null || true
    grep -arhE '^casemate: note: ' "$hardened/stderr" | sort -u || true
    remarks "$hardened/logs"
    return "$wrong"
}

# Frees by another interface than the allocation's, summed by program.
remarks() {
    find "$1" -type f ! -name notes -exec cat {} + | awk '
        $1 ~ /^[0-9]+$/ { name[$1] = $2 }
        /objects freed by another interface/ { sub(":", "", $1); sum[name[$1]] += $2 }
        /without room in the report/ { lost += $1 }
        END {
            for (program in sum) print sum[program], "objects freed by another interface:", program
            if (lost) print lost, "processes more had no room in the report"
        }'
}
