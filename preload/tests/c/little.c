/* What describes the heap, each in a thread with the smallest stack. */
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static FILE *null;

static void *info2(void *none) { return mallinfo2().uordblks ? none : NULL; }
static void *info(void *none) { return mallinfo().uordblks ? none : NULL; }
static void *stats(void *none) { malloc_stats(); return none; }
static void *xml(void *none) { return malloc_info(0, null) == 0 ? none : NULL; }

int main(void) {
    void *(*all[])(void *) = {info2, info, stats, xml};
    /* Every class has a row. */
    for (size_t size = 1; size < 2000000; size += 1 + size / 16)
        free(malloc(size));
    void *held = malloc(100);
    null = fopen("/dev/null", "w");
    for (int i = 0; i < 4; i++) {
        pthread_attr_t little;
        pthread_t thread;
        void *fine = NULL;
        pthread_attr_init(&little);
        if (pthread_attr_setstacksize(&little, PTHREAD_STACK_MIN)) return 1;
        if (pthread_create(&thread, &little, all[i], held)) return 2;
        pthread_join(thread, &fine);
        if (fine != held) return 3 + i;
    }
    puts("all right");
}
