/* Two threads exchange batches of objects: each frees what the other allocated. */
#include "stress.h"

enum { BATCH = 128 };

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void **batch;
} Box;

static Box boxes[2] = {
    {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL},
    {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL},
};
static long turns;

static void put(Box *box, void **batch) {
    pthread_mutex_lock(&box->lock);
    while (box->batch) pthread_cond_wait(&box->changed, &box->lock);
    box->batch = batch;
    pthread_cond_signal(&box->changed);
    pthread_mutex_unlock(&box->lock);
}

static void **take(Box *box) {
    pthread_mutex_lock(&box->lock);
    while (!box->batch) pthread_cond_wait(&box->changed, &box->lock);
    void **batch = box->batch;
    box->batch = NULL;
    pthread_cond_signal(&box->changed);
    pthread_mutex_unlock(&box->lock);
    return batch;
}

static void *run(void *argument) {
    uintptr_t me = (uintptr_t)argument;
    Random random = seeded(me + 1);
    for (long turn = 0; turn < turns; turn++) {
        void **mine = written(BATCH * sizeof *mine);
        for (int i = 0; i < BATCH; i++) mine[i] = written(16 + below(&random, 496));
        put(&boxes[me], mine);
        void **theirs = take(&boxes[1 - me]);
        for (int i = 0; i < BATCH; i++) free(theirs[i]);
        free(theirs);
    }
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t other;
    turns = scaled(argc, argv, 80e3);
    start(&other, run, (void *)1);
    run(NULL);
    pthread_join(other, NULL);
    return 0;
}
