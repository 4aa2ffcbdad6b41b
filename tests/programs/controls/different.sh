# The result is another one.
commands=(/usr/bin/env)
loaded=(env)

work() {
    under env | grep -c '^LD_PRELOAD=' >"$results/count" || true
}
