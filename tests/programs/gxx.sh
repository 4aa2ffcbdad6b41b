# g++ builds a program that is heavy on the STL: the object and what it prints must be the same.
short=yes
packages=(g++)
commands=(/usr/bin/g++)
loaded=(g++ cc1plus as ld stl)

work() {
    under g++ -std=c++17 -O2 -Wall -Wextra -pthread -c -o stl.o "$data/stl.cpp"
    under g++ -pthread -o stl stl.o
    sha256sum stl.o >"$results/object"
    under ./stl >"$results/output"
}
