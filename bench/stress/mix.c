/* Random allocations and frees of sizes in a Pareto mix, on one thread or several: each has a table
 * of slots; a slot drawn at random is freed if it is taken and filled if it is empty. */
#include "stress.h"

enum { SLOTS = 20000 };

static long steps;

static void *run(void *argument) {
    Random random = seeded((uintptr_t)argument + 1);
    void **slots = calloc(SLOTS, sizeof *slots);
    if (!slots) exit(1);
    for (long step = 0; step < steps; step++) {
        void **slot = &slots[below(&random, SLOTS)];
        if (*slot) {
            free(*slot);
            *slot = NULL;
        } else {
            *slot = written(pareto(&random, 16, 32768));
        }
    }
    for (int i = 0; i < SLOTS; i++) free(slots[i]);
    free(slots);
    return NULL;
}

int main(int argc, char **argv) {
    long count = argc > 2 ? atol(argv[2]) : 1;
    pthread_t threads[64];
    if (count < 1 || count > 64) return 1;
    steps = scaled(argc, argv, 40e6);
    if (count == 1) {
        run(NULL);
        return 0;
    }
    for (long i = 0; i < count; i++) start(&threads[i], run, (void *)(uintptr_t)i);
    for (long i = 0; i < count; i++) pthread_join(threads[i], NULL);
    return 0;
}
