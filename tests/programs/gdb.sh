# A debugger and, under it, a program: breakpoints in templates, backtraces, printers, watch points,
# its own Python, a core file. Of the heap little is in a core file of gdb's, which leaves out what
# follows a guard; but it must not hold the heap's reservations either, terabytes of zeros.
packages=(gdb g++)
commands=(/usr/bin/gdb /usr/bin/g++)
loaded=(gdb inner)

work() {
    g++ -std=c++17 -g -O0 -pthread -o inner "$data/debuggee.cpp"
    # Addresses and processes differ from run to run.
    under gdb -q -nx -batch -x "$data/debug.gdb" inner 2>&1 | sed '
        s/0x[0-9a-f]*/ADDRESS/g
        /^warning:/d
        /^\[New /d
        /^\[Inferior .* exited/s/(process [0-9]*)//
        /^Saved corefile/d
        /^Core was generated/d' >"$results/session"
    find . -name core -size -1000000k | grep -q . || { echo "no core file, or a huge one" >&2; return 1; }
}
