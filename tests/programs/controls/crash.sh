# The server dies of a signal; its results are the same.
commands=(/usr/bin/sleep)
loaded=(sleep)

work() {
    start sleep 60
    local server=$!
    eventually [ -d "/proc/$server" ]
    sleep 0.5
    if [ "$mode" = hardened ]; then
        kill -SEGV "$(pgrep -P "$server")"
        wait "$server"
    fi
}
