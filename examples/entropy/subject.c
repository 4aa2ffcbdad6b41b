/* What the example `entropy` runs under each heap: a program that allocates and says where its
 * objects lie. It keeps its own records outside the heap and writes once, at the end.
 *
 *   subject starts                           addresses of a few objects, and of libc
 *   subject row SIZE COUNT                   addresses of objects allocated in a row
 *   subject spray SIZE LIVE MOST SEED        allocations until one covers a freed object
 *   subject reuse SIZE LIVE MOST SEED        the same among as many frees of other objects
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char text[1 << 20];
static size_t used;

static void say(unsigned long number) {
    used += snprintf(text + used, sizeof text - used, "%lx ", number);
}

static uint64_t state;

static uint64_t draw(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void *take(size_t size) {
    char *p = malloc(size);
    if (!p)
        _exit(3);
    /* Used, as a program would. */
    memset(p, 1, size < 64 ? size : 64);
    return p;
}

/* Past what a thread's first allocations may have of their own. */
static void settle(size_t size) {
    for (int i = 0; i < 200; i++)
        free(take(size));
}

static void starts(void) {
    char *small = take(24), *next = take(24), *medium = take(1000), *big = take(60000);
    char *large = take(4 << 20), *larger = take(4 << 20);
    unsigned long words[] = {(unsigned long)small,  (unsigned long)next,   (unsigned long)medium,
                             (unsigned long)big,    (unsigned long)large,  (unsigned long)larger,
                             (unsigned long)&getpid};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        say(words[i]);
}

static void row(size_t size, size_t count) {
    settle(size);
    uintptr_t *seen = mmap(NULL, count * sizeof *seen, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < count; i++)
        seen[i] = (uintptr_t)take(size);
    for (size_t i = 0; i < count; i++)
        say(seen[i]);
}

static int covers(char *p, size_t size, uintptr_t place) {
    return (uintptr_t)p <= place && place - (uintptr_t)p < size;
}

/* An object of `live` is freed; then come allocations, `most` of them at most, with as many frees of
 * others among them, at random, if `busy`. */
static void until(size_t size, size_t live, size_t most, int busy) {
    settle(size);
    size_t held = live, room = live + most;
    char **objects = mmap(NULL, room * sizeof *objects, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (size_t i = 0; i < held; i++)
        objects[i] = take(size);
    size_t chosen = draw() % held;
    uintptr_t place = (uintptr_t)objects[chosen];
    free(objects[chosen]);
    objects[chosen] = objects[--held];
    for (size_t k = 1; k <= most;) {
        /* Neither all of them nor ever more. */
        if (busy && held > live / 2 && (held >= 2 * live || draw() >> 32 & 1)) {
            size_t i = draw() % held;
            free(objects[i]);
            objects[i] = objects[--held];
            continue;
        }
        char *p = objects[held++] = take(size);
        if (covers(p, size, place)) {
            say(k);
            return;
        }
        k++;
    }
    say(0);
}

int main(int argc, char **argv) {
    size_t number[6] = {0};
    for (int i = 2; i < argc && i < 6; i++)
        number[i] = strtoul(argv[i], NULL, 10);
    state = number[5] * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
    const char *mode = argc > 1 ? argv[1] : "";
    if (!strcmp(mode, "starts"))
        starts();
    else if (!strcmp(mode, "row"))
        row(number[2], number[3]);
    else if (!strcmp(mode, "spray") || !strcmp(mode, "reuse"))
        until(number[2], number[3], number[4], *mode == 'r');
    else
        return 2;
    return write(1, text, used) == (ssize_t)used ? 0 : 4;
}
