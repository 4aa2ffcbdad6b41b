# Sourced by the scripts beside it: where things are, skips, and settings that are put back.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
programs="${CARGO_TARGET_DIR:-target}/release/examples"

# What cannot be set up here is no failure; the reason is printed.
skip() {
    echo "skipped: $(basename "$0"): $*"
    exit 0
}

# Builds the example programs named.
build() {
    local name
    for name in "$@"; do
        set -- "$@" --example "$name"
        shift
    done
    cargo build --quiet --release "$@"
}

# Sets a kernel setting until the script ends, however it ends; skips where that is forbidden.
changed=()
put_back() {
    local i
    for ((i = ${#changed[@]} - 1; i >= 0; i--)); do
        sysctl -q -w "${changed[i]}" >/dev/null || echo "could not put back ${changed[i]}" >&2
    done
}
trap put_back EXIT
trap 'exit 130' INT TERM
setting() {
    local before
    before=$(sysctl -n "$1" 2>/dev/null) || skip "$1 is not there"
    sysctl -q -w "$1=$2" 2>/dev/null || skip "$1 cannot be set here (needs root)"
    changed+=("$1=$before")
}
