/* The floor for large buffers, to be preloaded: the C library's allocator, with one write of zeros
 * over each object freed and one read of each object allocated, where its pages are not fresh from
 * the kernel. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* glibc's own names, so that these functions can stand before it. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void __libc_free(void *);

/* In glibc the word before a block holds its size and three flags; the second says that the block
 * is a mapping of its own, whose pages come from the kernel and go back to it. */
static int mapped(void *p) { return (((size_t *)p)[-1] & 2) != 0; }

static void read_pass(const void *p, size_t size) {
    const uint64_t *words = p;
    uint64_t sum = 0;
    for (size_t i = 0; i < size / 8; i++) sum |= words[i];
    __asm__ volatile("" : : "r"(sum) : "memory");
}

void *malloc(size_t size) {
    void *p = __libc_malloc(size);
    if (p && !mapped(p)) read_pass(p, size);
    return p;
}

void *calloc(size_t count, size_t size) { return __libc_calloc(count, size); }

/* What it leaves behind inside the C library is not wiped: the floor stays below the possible. */
void *realloc(void *p, size_t size) { return __libc_realloc(p, size); }

void free(void *p) {
    if (p && !mapped(p)) {
        memset(p, 0, malloc_usable_size(p));
        __asm__ volatile("" : : "r"(p) : "memory");
    }
    __libc_free(p);
}
