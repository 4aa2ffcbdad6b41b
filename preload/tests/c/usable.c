/* Threads that ask for the usable size of the same objects at the same time. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 3000 };
static pthread_barrier_t barrier;
static char *object;
static size_t answers[THREADS];

static void *ask(void *argument) {
    size_t *answer = argument;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&barrier);
        *answer = malloc_usable_size(object);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    int wrong = 0;
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, ask, &answers[i]);
    for (int i = 0; i < ROUNDS; i++) {
        size_t size = 1 + i * 37 % 9000;
        object = malloc(size);
        memset(object, 'x', size);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        for (int j = 0; j < THREADS; j++) wrong += answers[j] < size || answers[j] != answers[0];
        for (size_t at = 0; at < answers[0]; at++) wrong += object[at] != (at < size ? 'x' : 0);
        memset(object, 'y', answers[0]);
        free(object);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    puts(wrong ? "wrong" : "all right");
    return wrong != 0;
}
