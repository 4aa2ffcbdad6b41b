# The program does not load the library.
commands=(/usr/bin/env /usr/bin/sort)
loaded=(sort)

work() {
    under env -u LD_PRELOAD sort /dev/null
}
