/* A program with a malloc of its own, from a static array, and one that wraps glibc's (-DWRAP). */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static int mine;
#ifdef WRAP
extern void *__libc_malloc(size_t);
extern void __libc_free(void *);
void *malloc(size_t size) { mine++; return __libc_malloc(size); }
void free(void *p) { __libc_free(p); }
#else
static _Alignas(16) char store[64 << 20];
static size_t used;
void *malloc(size_t size) {
    mine++;
    size_t *p = (size_t *)(store + used);
    used += (size + 31) & ~(size_t)15;
    p[1] = size;
    return p + 2;
}
void free(void *p) {}
void *calloc(size_t n, size_t size) { return memset(malloc(n * size), 0, n * size); }
void *realloc(void *p, size_t size) {
    void *q = malloc(size);
    return p ? memcpy(q, p, size < ((size_t *)p)[-1] ? size : ((size_t *)p)[-1]) : q;
}
#endif
extern int posix_memalign(void **, size_t, size_t);
extern char *strdup(const char *);

int main(void) {
    for (int i = 0; i < 1000; i++) {
        char *p = strdup("text that the C library copies");
        free(p);
#ifdef WRAP
        void *aligned;
        posix_memalign(&aligned, 64, 100);
        free(aligned);
#endif
    }
    printf("%s\n", mine >= 1000 ? "all right" : "not called");
    return 0;
}
