# What programs' files use: sourced by `once`, which sets mode, data, results and logs.

# Runs a command as it is, or under the launcher with the full policy and a report of its own. It
# is the launcher's arguments that hold it, so `exec` and `env` come behind.
under() {
    if [ "$mode" = plain ]; then
        ${replace-} "$@"
    else
        ${replace-} "$CASEMATE" run --stats --log "$logs/$BASHPID.$SRANDOM" -- "$@"
    fi
}

# Who runs what must not be root: `under "${user[@]}" initdb`. A home directory is given to it.
user=()
if [ "$(id -u)" = 0 ]; then
    user=(setpriv --reuid=nobody --regid=nogroup --clear-groups --)
fi

# A directory that this user owns.
own_directory() {
    mkdir -p "$1"
    ((${#user[@]} == 0)) || chown nobody:nogroup "$1"
}

# Starts a server in the background as `under` would run it; its process is $!, and it is stopped
# when the work ends, however it ends.
started=()
start() {
    # Not a shell that waits for it: signals are for the server.
    replace=exec under "$@" &
    started+=("$!")
}

# Ends a server as its manager would, and passes on how it ended.
stop() { # PID [SIGNAL]
    local pid=$1 rest=() other
    # It may have ended by itself just now.
    kill "-${2:-TERM}" "$pid" 2>/dev/null || true
    for other in "${started[@]}"; do
        [ "$other" = "$pid" ] || rest+=("$other")
    done
    started=("${rest[@]}")
    wait "$pid"
}

# Waits for what was started to end by itself, however.
wait_all() {
    local pid
    for pid in "${started[@]}"; do wait "$pid" || true; done
    started=()
}

stop_all() {
    local pid
    for pid in "${started[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" || true; done
}

# Waits for a command to succeed, for a minute: `eventually curl -s localhost:1234`.
eventually() {
    local i
    for ((i = 0; i < 600; i++)); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "never succeeded: $*" >&2
    return 1
}

# A free port of loopback, below those that the kernel gives to clients.
free_port() {
    local port
    while :; do
        port=$((20000 + SRANDOM % 10000))
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# Fails unless the process has the library mapped, or has not where it must not; for processes that
# no report shows, since they closed its descriptor.
maps_library() {
    local found=no
    ! grep -q '/libcasemate\.so$' "/proc/$1/maps" || found=yes
    [ "$mode:$found" = plain:no ] || [ "$mode:$found" = hardened:yes ] || {
        echo "process $1 ($(tr '\0' ' ' <"/proc/$1/cmdline")): library loaded: $found" >&2
        return 1
    }
}

# What is worth saying of the hardened run.
note() {
    [ "$mode" = plain ] || echo "note: $*" >>"$logs/notes"
}

# Whether a program brings a malloc of its own, for itself and what it loads.
defines_malloc() {
    nm -D --defined-only "$1" | grep -E ' [TW] malloc$' >/dev/null
}

install_packages() {
    [ "$(id -u)" = 0 ] || { echo "installing ${*}: not as this user"; exit 1; }
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 && return
    apt-get update -qq >/dev/null 2>&1 &&
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 && return
    echo "installing ${*}: apt-get cannot"
    exit 1
}
