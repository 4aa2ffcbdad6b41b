/* Probes for false sharing: each thread writes again and again to a small object of its own. If the
 * allocator gave two threads parts of one cache line, they disturb each other. "own": each allocates
 * its objects itself. "passed": the first objects come from the main thread, one after the other,
 * are freed by the workers, and may come back to them. */
#include "stress.h"

enum { WORKERS = 2, SIZE = 8, WRITES = 2000 };

static long repeats;

static void *run(void *argument) {
    char *object = argument;
    for (long i = 0; i < repeats; i++) {
        free(object);
        object = written(SIZE);
        for (int j = 0; j < WRITES; j++)
            for (int k = 0; k < SIZE; k++) ((volatile char *)object)[k]++;
    }
    free(object);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[WORKERS];
    void *first[WORKERS] = {NULL};
    repeats = scaled(argc, argv, 80e3);
    int passed = argc > 2 && strcmp(argv[2], "passed") == 0;
    for (int i = 0; passed && i < WORKERS; i++) first[i] = written(SIZE);
    for (int i = 0; i < WORKERS; i++) start(&threads[i], run, first[i]);
    for (int i = 0; i < WORKERS; i++) pthread_join(threads[i], NULL);
    return 0;
}
