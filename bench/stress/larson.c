/* Larson's server: each worker replaces objects in its table at random, then hands the table to a
 * new thread and ends, so that most objects are freed by a thread that did not allocate them. */
#include "stress.h"

enum { WORKERS = 2, SLOTS = 5000, SMALLEST = 10, LARGEST = 500 };

typedef struct {
    Random random;
    void *slots[SLOTS];
} Table;

static void *serve(void *argument) {
    Table *table = argument;
    for (int i = 0; i < 4 * SLOTS; i++) {
        void **slot = &table->slots[below(&table->random, SLOTS)];
        free(*slot);
        *slot = written(SMALLEST + below(&table->random, LARGEST - SMALLEST));
    }
    return NULL;
}

static long successions;

static void *worker(void *argument) {
    Table *table = written(sizeof *table);
    table->random = seeded((uintptr_t)argument + 1);
    for (int i = 0; i < SLOTS; i++)
        table->slots[i] = written(SMALLEST + below(&table->random, LARGEST - SMALLEST));
    for (long i = 0; i < successions; i++) {
        pthread_t successor;
        start(&successor, serve, table);
        pthread_join(successor, NULL);
    }
    for (int i = 0; i < SLOTS; i++) free(table->slots[i]);
    free(table);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t workers[WORKERS];
    successions = scaled(argc, argv, 600);
    for (int i = 0; i < WORKERS; i++) start(&workers[i], worker, (void *)(uintptr_t)i);
    for (int i = 0; i < WORKERS; i++) pthread_join(workers[i], NULL);
    return 0;
}
