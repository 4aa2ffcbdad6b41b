# gcc compiles generated C, also with link-time optimisation in parallel processes.
packages=(gcc libc6-dev)
commands=(/usr/bin/gcc)
loaded=(gcc cc1 as ld lto1)

work() {
    awk 'BEGIN {
        print "#include <stdio.h>\n#include <string.h>\nstruct s { int a; long b; char c[32]; };"
        for (i = 0; i < 1500; i++)
            printf "%sint f%d(int n, struct s *p) { int i, t = %d; for (i = 0; i < n; i++) { t += (t << %d) ^ (p->a + i); switch (t & 7) { case 0: p->b += %d; break; case 3: memset(p->c, t, sizeof p->c); break; case 5: t ^= p->c[i & 31]; break; default: p->a -= i; } } return t%s; }\n", i % 3 ? "static " : "", i, i, i % 13 + 1, i * 3, i ? " + f" (i - 1) "(n / 2, p)" : ""
        print "int main(void) { struct s v; memset(&v, 0, sizeof v); printf(\"%d %ld\\n\", f1499(300, &v), v.b); return 0; }"
    }' >functions.c
    under gcc -O2 -fwrapv -c -o functions.o functions.c
    under gcc -O3 -fwrapv -flto=2 -o functions functions.c
    sha256sum functions.o >"$results/object"
    under ./functions >"$results/output"
}
