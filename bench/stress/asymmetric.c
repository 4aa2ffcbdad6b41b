/* A hundred threads only allocate, a hundred only free what those hand over through one queue. */
#include "stress.h"

enum { EACH = 100, BATCH = 64, ROOM = 512 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER, not_empty = PTHREAD_COND_INITIALIZER;
static void **queue[ROOM];
static size_t first, held;
static int producing = EACH;
static long batches;

static void *produce(void *argument) {
    Random random = seeded((uintptr_t)argument + 1);
    for (long i = 0; i < batches; i++) {
        void **batch = written(BATCH * sizeof *batch);
        for (int j = 0; j < BATCH; j++) batch[j] = written(pareto(&random, 16, 8192));
        pthread_mutex_lock(&lock);
        while (held == ROOM) pthread_cond_wait(&not_full, &lock);
        queue[(first + held++) % ROOM] = batch;
        pthread_cond_signal(&not_empty);
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    if (--producing == 0) pthread_cond_broadcast(&not_empty);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void *consume(void *argument) {
    (void)argument;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (held == 0 && producing > 0) pthread_cond_wait(&not_empty, &lock);
        if (held == 0) {
            pthread_mutex_unlock(&lock);
            return NULL;
        }
        void **batch = queue[first];
        first = (first + 1) % ROOM;
        held--;
        pthread_cond_signal(&not_full);
        pthread_mutex_unlock(&lock);
        for (int j = 0; j < BATCH; j++) free(batch[j]);
        free(batch);
    }
}

int main(int argc, char **argv) {
    pthread_t producers[EACH], consumers[EACH];
    batches = scaled(argc, argv, 1000);
    for (int i = 0; i < EACH; i++) start(&producers[i], produce, (void *)(uintptr_t)i);
    for (int i = 0; i < EACH; i++) start(&consumers[i], consume, NULL);
    for (int i = 0; i < EACH; i++) pthread_join(producers[i], NULL);
    for (int i = 0; i < EACH; i++) pthread_join(consumers[i], NULL);
    return 0;
}
