/* Every C function of the library, in its normal use and at its edges. With an argument it runs
 * without the library, and only what glibc does alike is checked. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <signal.h>
#include <setjmp.h>
#include <dlfcn.h>

static int checks, failures, plain;
#define CHECK(condition)                                                            \
    do {                                                                            \
        checks++;                                                                   \
        if (!(condition)) {                                                         \
            failures++;                                                             \
            printf("line %d: %s (errno %d)\n", __LINE__, #condition, errno);        \
        }                                                                           \
    } while (0)
/* Only with the library. */
#define OURS(condition)            \
    do {                           \
        if (!plain)                \
            CHECK(condition);      \
    } while (0)

static void (*p_free_sized)(void *, size_t);
static void (*p_free_aligned_sized)(void *, size_t, size_t);
static size_t (*p_object_size)(const void *);

static int all_zero(const unsigned char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return 0;
    return 1;
}

static sigjmp_buf back;
static void fault(int s) { (void)s; siglongjmp(back, 1); }
static int faults(volatile char *p, int write) {
    if (sigsetjmp(back, 1))
        return 1;
    if (write)
        *p = 1;
    else
        (void)*p;
    return 0;
}

int main(int argc, char **argv) {
    plain = argc > 1;
    signal(SIGSEGV, fault);
    p_free_sized = dlsym(RTLD_DEFAULT, "free_sized");
    p_free_aligned_sized = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    p_object_size = dlsym(RTLD_DEFAULT, "malloc_object_size");
    OURS(p_free_sized && p_free_aligned_sized && p_object_size);
    int wipes = argc < 2 && getenv("WIPES") != NULL;
    size_t page = sysconf(_SC_PAGESIZE);

    /* malloc */
    errno = 77;
    for (size_t n = 1; n < 3000000; n += 1 + n / 7) {
        unsigned char *p = malloc(n);
        CHECK(p && (uintptr_t)p % 16 == 0);
        if (wipes)
            CHECK(all_zero(p, n));
        memset(p, 0xa5, n);
        OURS(p_object_size(p) == n);
        if (n < 1000000) {
            OURS(p_object_size(p + n / 2) == n - n / 2);
            OURS(p_object_size(p + n) == 0);
        }
        free(p);
    }
    CHECK(errno == 77);
    errno = 0;
    CHECK(malloc((size_t)PTRDIFF_MAX + 1) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(malloc(PTRDIFF_MAX) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(malloc(SIZE_MAX) == NULL && errno == ENOMEM);

    /* zero sizes */
    {
        char *zero[1000];
        for (int i = 0; i < 1000; i++) {
            zero[i] = i % 3 == 0 ? malloc(0) : i % 3 == 1 ? calloc(i % 2, 0) : calloc(0, 5);
            CHECK(zero[i] && (uintptr_t)zero[i] % 16 == 0);
            for (int j = 0; j < i; j++)
                if (zero[i] == zero[j])
                    CHECK(!"zero-size pointers differ");
        }
        OURS(faults(zero[0], 0) && faults(zero[500], 1) && faults(zero[999] - 1, 0));
        OURS(malloc_usable_size(zero[3]) == 0 && p_object_size(zero[3]) == 0);
        char *grown = realloc(zero[0], 100);
        CHECK(grown != NULL);
        memset(grown, 1, 100);
        free(grown);
        for (int i = 1; i < 1000; i++)
            free(zero[i]);
        char *aligned = NULL;
        CHECK(posix_memalign((void **)&aligned, 4096, 0) == 0 && aligned && (uintptr_t)aligned % 4096 == 0);
        OURS(faults(aligned, 0));
        free(aligned);
        aligned = aligned_alloc(1 << 16, 0);
        CHECK(aligned && (uintptr_t)aligned % (1 << 16) == 0);
        free(aligned);
    }

    /* calloc */
    {
        void *dirty[64];
        for (int i = 0; i < 64; i++) {
            dirty[i] = malloc(200);
            memset(dirty[i], 0xff, 200);
        }
        for (int i = 0; i < 64; i++)
            free(dirty[i]);
        for (int i = 0; i < 5000; i++) {
            unsigned char *p = calloc(10, 20);
            if (!all_zero(p, 200))
                CHECK(!"calloc gives zeros");
            memset(p, 0xff, 200);
            free(p);
        }
        errno = 0;
        CHECK(calloc(SIZE_MAX / 2, 3) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(calloc(2, (size_t)PTRDIFF_MAX) == NULL && errno == ENOMEM);
        unsigned char *big = calloc(1, 10 << 20);
        CHECK(big && all_zero(big, 10 << 20));
        free(big);
    }

    /* realloc */
    {
        unsigned char *p = realloc(NULL, 10);
        CHECK(p != NULL);
        for (size_t from = 1; from < 400000; from = from * 5 / 2 + 1)
            for (size_t to = 1; to < 3000000; to = to * 3 + 1) {
                p = realloc(p, from);
                memset(p, 0x5a, from);
                unsigned char *q = realloc(p, to);
                CHECK(q != NULL);
                size_t least = from < to ? from : to, i = 0;
                while (i < least && q[i] == 0x5a)
                    i++;
                CHECK(i == least);
                if (wipes && to > from)
                    CHECK(all_zero(q + from, to - from));
                OURS(p_object_size(q) == to);
                p = q;
            }
        errno = 0;
        p = realloc(p, 100);
        memset(p, 7, 100);
        CHECK(realloc(p, (size_t)PTRDIFF_MAX) == NULL && errno == ENOMEM && p[99] == 7);
        errno = 0;
        CHECK(reallocarray(p, SIZE_MAX / 2, 3) == NULL && errno == ENOMEM && p[99] == 7);
        p = reallocarray(p, 30, 10);
        CHECK(p && p[99] == 7);
        errno = 55;
        CHECK(realloc(p, 0) == NULL && errno == 55);
        p = reallocarray(NULL, 3, 3);
        CHECK(p && reallocarray(p, 0, 3) == NULL);
        p = realloc(NULL, 0);
        CHECK(p != NULL);
        OURS(faults((char *)p, 0));
        CHECK(realloc(p, 0) == NULL);
        p = aligned_alloc(4096, 8192);
        memset(p, 9, 8192);
        p = realloc(p, 9000);
        CHECK(p && p[8191] == 9);
        free(p);
    }

    /* alignment */
    {
        void *out = (void *)1;
        errno = 66;
        CHECK(posix_memalign(&out, 0, 8) == EINVAL && posix_memalign(&out, 3, 8) == EINVAL);
        CHECK(posix_memalign(&out, 4, 8) == EINVAL && posix_memalign(&out, 24, 8) == EINVAL);
        CHECK(posix_memalign(&out, 64, PTRDIFF_MAX) == ENOMEM && out == (void *)1);
        OURS(errno == 66);
        OURS(posix_memalign(&out, (size_t)1 << 63, 8) == ENOMEM && out == (void *)1);
        for (size_t align = 8; align <= 1 << 22; align *= 2)
            for (size_t size = 1; size < 100000; size = size * 6 + 1) {
                CHECK(posix_memalign(&out, align, size) == 0 && (uintptr_t)out % align == 0);
                memset(out, 0xcc, size);
                OURS(p_object_size(out) == size);
                free(out);
                out = aligned_alloc(align, size);
                CHECK(out && (uintptr_t)out % align == 0);
                memset(out, 0xcc, size);
                if (plain)
                    free(out);
                else
                    p_free_aligned_sized(out, align, size);
                out = memalign(align, size);
                CHECK(out && (uintptr_t)out % align == 0);
                memset(out, 0xcc, size);
                free(out);
            }
        errno = 0;
        OURS(aligned_alloc(24, 48) == NULL && errno == EINVAL);
        errno = 0;
        OURS(aligned_alloc(0, 48) == NULL && errno == EINVAL);
        out = memalign(24, 10);
        CHECK(out && (uintptr_t)out % 32 == 0);
        free(out);
        errno = 0;
        CHECK(memalign(((size_t)1 << 63) + 1, 10) == NULL && errno == EINVAL);
        errno = 0;
        CHECK(aligned_alloc(16, (size_t)PTRDIFF_MAX + 1) == NULL && errno == ENOMEM);
        out = valloc(10);
        CHECK(out && (uintptr_t)out % page == 0);
        free(out);
        out = pvalloc(page + 1);
        CHECK(out && (uintptr_t)out % page == 0 && malloc_usable_size(out) >= 2 * page);
        memset(out, 1, 2 * page);
        free(out);
        errno = 0;
        CHECK(pvalloc(SIZE_MAX - 5) == NULL && errno == ENOMEM);
    }

    /* free keeps errno */
    for (size_t size = 1; size < 20 << 20; size *= 3) {
        void *p = malloc(size);
        errno = 44;
        free(p);
        CHECK(errno == 44);
    }
    free(NULL);
    if (!plain) {
        p_free_sized(NULL, 10);
        p_free_aligned_sized(NULL, 16, 10);
        for (size_t size = 0; size < 5000000; size = size * 4 + 1) {
            p_free_sized(malloc(size), size);
            p_free_sized(calloc(size, 1), size);
            p_free_sized(realloc(malloc(5), size + 1), size + 1);
        }
    }

    /* usable size: all of it may be written, at once and later */
    CHECK(malloc_usable_size(NULL) == 0);
    for (size_t size = 1; size < 5000000; size = size * 5 / 4 + 1) {
        unsigned char *p = malloc(size), *below = malloc(size), *above = malloc(size);
        size_t usable = malloc_usable_size(p);
        CHECK(usable >= size && malloc_usable_size(p) == usable);
        if (wipes)
            CHECK(all_zero(p, usable));
        memset(p, 0x11, usable);
        OURS(p_object_size(p) == usable);
        p = realloc(p, size + 1);
        CHECK(p && p[size - 1] == 0x11);
        size_t more = malloc_usable_size(p);
        memset(p, 0x22, more);
        free(below);
        free(p);
        free(above);
        p = malloc(size);
        usable = malloc_usable_size(p);
        memset(p, 0x33, usable);
        /* Either size is right now. */
        if (!plain)
            p_free_sized(p, size);
        else
            free(p);
    }

    /* object size */
    if (!plain) {
        int local;
        static int global;
        CHECK(p_object_size(&local) == SIZE_MAX && p_object_size(&global) == SIZE_MAX);
        CHECK(p_object_size(NULL) == SIZE_MAX && p_object_size((void *)-1) == SIZE_MAX);
        char *p = malloc(100);
        for (int i = 0; i < 100; i++)
            CHECK(p_object_size(p + i) == 100 - i);
        CHECK(p_object_size(p + 101) == 0);
        free(p);
        CHECK(p_object_size(p) == 0);
    }

    /* tuning */
    CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1 && mallopt(M_ARENA_MAX, 1) == 1);
    OURS(mallopt(12345, 1) == 0);
    {
        void *live[1000];
        for (int i = 0; i < 1000; i++)
            live[i] = malloc(1000);
        void *large = malloc(8 << 20);
        struct mallinfo2 info = mallinfo2();
        CHECK(info.uordblks + info.hblkhd >= 1000 * 1000 + (8 << 20));
        OURS(info.hblks >= 1 && info.hblkhd >= 8 << 20);
        struct mallinfo old = mallinfo();
        CHECK((size_t)old.hblkhd == info.hblkhd);
        for (int i = 0; i < 1000; i++)
            free(live[i]);
        free(large);
        CHECK(mallinfo2().uordblks < info.uordblks);
        int trimmed = malloc_trim(0);
        CHECK(trimmed == 0 || trimmed == 1);
        OURS(malloc_trim(0) == 0);
        char *text = NULL;
        size_t len = 0;
        FILE *stream = open_memstream(&text, &len);
        CHECK(malloc_info(1, stream) == EINVAL && malloc_info(0, stream) == 0);
        fclose(stream);
        CHECK(len > 100 && strncmp(text, "<malloc version=\"1\">", 20) == 0);
        CHECK(strstr(text, "</malloc>") != NULL);
        free(text);
        int quiet = dup(2);
        char name[] = "/dev/null";
        freopen(name, "w", stderr);
        malloc_stats();
        fflush(stderr);
        dup2(quiet, 2);
    }
    if (failures == 0)
        printf("%d checks, all right\n", checks);
    return failures != 0;
}
