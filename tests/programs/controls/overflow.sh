# A byte past the end of an object, in a child whose status nobody looks at.
packages=(gcc libc6-dev)
commands=(/usr/bin/gcc)
loaded=(overflow)

work() {
    gcc -O0 -w -x c -o overflow - <<-'END'
		#include <stdlib.h>
		int main(void) { char *p = malloc(40); p[40] = 1; free(p); return 0; }
	END
    under sh -c './overflow 2>/dev/null; echo done' >"$results/output"
}
