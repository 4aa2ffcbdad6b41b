/* Threads that allocate, free each other's objects, end with objects in thread-specific data, and
 * are interrupted by handlers that allocate. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define CELLS 512
static _Atomic(unsigned char *) cells[CELLS];
static pthread_key_t key;
static atomic_long handled, wrong;

static void put_back(unsigned char *p) {
    if (p) {
        size_t size = p[0] | p[1] << 8;
        for (size_t i = 2; i < size; i++)
            if (p[i] != (unsigned char)(size * 7))
                atomic_fetch_add(&wrong, 1);
        free(p);
    }
}

static unsigned char *make(unsigned random) {
    size_t size = 2 + random % (random & 0x1000000 ? 30000 : 300);
    unsigned char *p = random & 0x2000000 ? calloc(1, size) : malloc(size);
    memset(p, size * 7, size);
    p[0] = size;
    p[1] = size >> 8;
    return p;
}

static void handler(int s) {
    (void)s;
    static _Thread_local unsigned random = 99;
    random = random * 1664525 + 1013904223;
    unsigned char *p = make(random >> 3);
    put_back(p);
    put_back(atomic_exchange(&cells[random >> 8 & (CELLS - 1)], make(random >> 5)));
    atomic_fetch_add(&handled, 1);
}

static void at_end(void *p) {
    /* Later than other destructors: the thread's heap may have been given up. */
    static _Thread_local int round;
    put_back(p);
    if (++round < 4)
        pthread_setspecific(key, make(round * 1234567));
    else
        put_back(make(77));
}

static void *work(void *seed) {
    unsigned random = (unsigned)(long)seed;
    pthread_setspecific(key, make(random));
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525 + 1013904223;
        put_back(atomic_exchange(&cells[random >> 8 & (CELLS - 1)], make(random >> 5)));
    }
    return malloc(100);
}

int main(void) {
    pthread_key_create(&key, at_end);
    signal(SIGPROF, handler);
    struct itimerval every = {{0, 500}, {0, 500}};
    setitimer(ITIMER_PROF, &every, NULL);
    for (int round = 0; round < 12; round++) {
        pthread_t threads[8];
        for (long i = 0; i < 8; i++)
            pthread_create(&threads[i], NULL, work, (void *)(round * 8 + i + 1));
        for (int i = 0; i < 8; i++) {
            void *result;
            pthread_join(threads[i], &result);
            free(result);
        }
    }
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_PROF, &never, NULL);
    for (int i = 0; i < CELLS; i++)
        put_back(atomic_exchange(&cells[i], NULL));
    printf("%s\n", handled > 10 && wrong == 0 ? "all right" : "wrong");
    return 0;
}
