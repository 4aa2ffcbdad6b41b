# clang builds the same program; so does its optimiser at link time, in one process.
packages=(clang llvm libc6-dev g++)
commands=(/usr/bin/clang++)
loaded=(clang++ ld stl)

work() {
    under clang++ -std=c++17 -O2 -Wall -Wextra -pthread -c -o stl.o "$data/stl.cpp"
    under clang++ -pthread -o stl stl.o
    under clang++ -std=c++17 -O1 -fsyntax-only -Xclang -analyze "$data/stl.cpp"
    sha256sum stl.o >"$results/object"
    under ./stl >"$results/output"
}
