/* Random calls of the memory functions against the plainest code that does the same: with all
 * alignments, overlaps, ends of pages, in objects, in mappings and on the stack. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

void *__memcpy_chk(void *, const void *, size_t, size_t);
void *__memmove_chk(void *, const void *, size_t, size_t);
void *__mempcpy_chk(void *, const void *, size_t, size_t);
void *__memset_chk(void *, int, size_t, size_t);
void __explicit_bzero_chk(void *, size_t, size_t);
char *__strcpy_chk(char *, const char *, size_t);
char *__stpcpy_chk(char *, const char *, size_t);
char *__strcat_chk(char *, const char *, size_t);
char *__strncpy_chk(char *, const char *, size_t, size_t);
char *__stpncpy_chk(char *, const char *, size_t, size_t);
char *__strncat_chk(char *, const char *, size_t, size_t);

enum { SPACE = 1 << 17 };
static uint64_t state;
static size_t any(size_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
}
static size_t length(void) {
    size_t kind = any(10);
    return any(kind < 6 ? 80 : kind < 9 ? 600 : 60000);
}

/* The buffer under test, and what it must be: the same bytes, changed by the plainest code. */
static unsigned char *real, *model;
static long calls;

static void plain_move(unsigned char *to, const unsigned char *from, size_t n) {
    static unsigned char hold[SPACE];
    for (size_t i = 0; i < n; i++)
        ((volatile unsigned char *)hold)[i] = from[i];
    for (size_t i = 0; i < n; i++)
        ((volatile unsigned char *)to)[i] = hold[i];
}
static void plain_fill(unsigned char *to, int byte, size_t n) {
    for (size_t i = 0; i < n; i++)
        ((volatile unsigned char *)to)[i] = (unsigned char)byte;
}
static size_t plain_length(const unsigned char *s, size_t most) {
    size_t n = 0;
    while (n < most && ((const volatile unsigned char *)s)[n])
        n++;
    return n;
}

static void fail(const char *name, size_t to, size_t from, size_t n) {
    printf("%s(%zu, %zu, %zu) differs\n", name, to, from, n);
    exit(1);
}

static void one(size_t space) {
    static const char *const name[] = {
        "memcpy", "memmove", "mempcpy", "memset", "bzero", "explicit_bzero", "strcpy", "stpcpy",
        "strcat", "strncpy", "stpncpy", "strncat"};
    size_t which = any(24), n = length(), fortified = which >= 12;
    which %= 12;
    if (n > space / 4)
        n = any(space / 4 + 1);
    /* Near the start, near the end (of a page, of an object) or anywhere. */
    size_t to, from, where = any(3);
    size_t last = space / 2 - n;
    to = where == 0 ? any(last < 64 ? last + 1 : 64) : where == 1 ? last : any(last + 1);
    where = any(3);
    from = space / 2 + (where == 0 ? any(last < 64 ? last + 1 : 64) : where == 1 ? last : any(last + 1));
    if (any(2)) {
        size_t swap = to;
        to = from;
        from = swap;
    }
    if (which == 1 && any(3)) {
        /* An overlap. */
        size_t shift = any(n + 1 < 100 ? n + 1 : 100);
        from = to + shift + n <= space ? to + shift : to >= shift ? to - shift : to;
    }
    void *got = 0, *want = 0;
    unsigned char *t = real + to, *f = real + from, *mt = model + to, *mf = model + from;
    int byte = (int)any(1000) - 500;
    size_t room = any(2) ? SIZE_MAX : n;
    calls++;
    if (which >= 6) {
        /* Strings: an end within the first n bytes, room for both where one is appended. */
        if (n == 0)
            return;
        size_t len = any(n), before = which == 8 || which == 11 ? any(n - len) : 0;
        int ended = (which != 9 && which != 10 && which != 11) || any(3);
        for (size_t i = 0; i < n; i++)
            f[i] = mf[i] = (unsigned char)(1 + any(255));
        if (ended)
            f[len] = mf[len] = 0;
        if (which == 8 || which == 11) {
            for (size_t i = 0; i < before; i++)
                t[i] = mt[i] = (unsigned char)(1 + any(255));
            t[before] = mt[before] = 0;
        }
        size_t most = which == 11 ? (ended ? any(2 * n) : any(n - before)) : n;
        size_t used = plain_length(mf, which == 11 ? most : n);
        if (before + used + 1 > n && which == 11)
            return;
        switch (which) {
        case 6:
            got = fortified ? __strcpy_chk((char *)t, (char *)f, room) : strcpy((char *)t, (char *)f);
            plain_move(mt, mf, used + 1), want = t;
            break;
        case 7:
            got = fortified ? __stpcpy_chk((char *)t, (char *)f, room) : stpcpy((char *)t, (char *)f);
            plain_move(mt, mf, used + 1), want = t + used;
            break;
        case 8:
            got = fortified ? __strcat_chk((char *)t, (char *)f, room) : strcat((char *)t, (char *)f);
            plain_move(mt + before, mf, used + 1), want = t;
            break;
        case 9: case 10:
            if (which == 9)
                got = fortified ? __strncpy_chk((char *)t, (char *)f, n, room) : strncpy((char *)t, (char *)f, n);
            else
                got = fortified ? __stpncpy_chk((char *)t, (char *)f, n, room) : stpncpy((char *)t, (char *)f, n);
            plain_move(mt, mf, used), plain_fill(mt + used, 0, n - used);
            want = which == 9 ? t : t + used;
            break;
        case 11:
            got = fortified ? __strncat_chk((char *)t, (char *)f, most, room) : strncat((char *)t, (char *)f, most);
            plain_move(mt + before, mf, used), mt[before + used] = 0, want = t;
            break;
        }
    } else {
        switch (which) {
        case 0: got = fortified ? __memcpy_chk(t, f, n, room) : memcpy(t, f, n); want = t; break;
        case 1: got = fortified ? __memmove_chk(t, f, n, room) : memmove(t, f, n); want = t; break;
        case 2: got = fortified ? __mempcpy_chk(t, f, n, room) : mempcpy(t, f, n); want = t + n; break;
        case 3: got = fortified ? __memset_chk(t, byte, n, room) : memset(t, byte, n); want = t; break;
        case 4: bzero(t, n); break;
        case 5: fortified ? __explicit_bzero_chk(t, n, room) : explicit_bzero(t, n); break;
        }
        if (which < 3)
            plain_move(mt, mf, n);
        else
            plain_fill(mt, which == 3 ? byte : 0, n);
    }
    /* All of a small space, and what is around the ends of a large one. */
    size_t low = to > 4096 ? to - 4096 : 0, high = to + n + 4096 < space ? to + n + 4096 : space;
    for (size_t i = low; i < high; i++)
        if (real[i] != model[i])
            fail(name[which], to, from, n);
    if (got != want)
        fail(name[which], to, from, n);
}

static void rounds(unsigned char *space, size_t size, int count) {
    real = space;
    for (size_t i = 0; i < size; i++)
        real[i] = model[i] = (unsigned char)any(256);
    for (int i = 0; i < count; i++)
        one(size);
}

int main(int argc, char **argv) {
    state = strtoul(argc > 1 ? argv[1] : "1", 0, 10) * 0x9e3779b97f4a7c15u;
    model = mmap(0, SPACE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    /* The end of a mapping: nothing may touch the page behind it. */
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *pages = mmap(0, SPACE + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(pages, page, PROT_NONE);
    mprotect(pages + page + SPACE, page, PROT_NONE);
    rounds(pages + page, SPACE, 20000);
    rounds(pages + page + SPACE - 200, 200, 20000);
    unsigned char stack[1500];
    rounds(stack, sizeof stack, 20000);
    /* Objects of exactly so many bytes. */
    for (int i = 0; i < 400; i++) {
        size_t size = 8 + any(i % 4 ? 700 : 100000);
        unsigned char *object = malloc(size);
        rounds(object, size, i % 4 ? 100 : 20);
        free(object);
    }
    printf("%ld calls: all right\n", calls);
}
