# A debugger and, under it, the STL program: breakpoints in templates, backtraces, printers, watch
# points, its own Python.
packages=(gdb g++)
commands=(/usr/bin/gdb /usr/bin/g++)
loaded=(gdb inner)

work() {
    g++ -std=c++17 -g -O0 -pthread -o inner "$data/debuggee.cpp"
    # Addresses differ from run to run.
    under gdb -q -nx -batch -x "$data/debug.gdb" inner 2>&1 | sed 's/0x[0-9a-f]*/ADDRESS/g; s/(LWP [0-9]*)/(LWP)/; /^\[New Thread/d; /^\[Thread .* exited/d; /^Saved corefile/d; /process [0-9]*/d; /^warning:/d; /^\[New LWP/d' >"$results/session"
}
