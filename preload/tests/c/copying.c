/* Threads that allocate, copy exactly what objects hold, resize, hand objects on and free those of
 * others. Every call is right. */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, PLACES = 64, ROUNDS = 150000 };
struct object {
    size_t size;
    char bytes[];
};
static _Atomic(struct object *) place[PLACES];

static void *work(void *arg) {
    unsigned seed = (unsigned)(size_t)arg * 7919 + 1;
    for (int i = 0; i < ROUNDS; i++) {
        seed = seed * 1103515245 + 12345;
        size_t size = seed >> 8 & (seed & 0x10000000 ? 4095 : 127);
        struct object *object = malloc(sizeof *object + size);
        object->size = size;
        memset(object->bytes, (int)size, size);
        object = atomic_exchange(&place[seed >> 3 & (PLACES - 1)], object);
        if (!object)
            continue;
        struct object *copy = malloc(sizeof *copy + object->size);
        memcpy(copy, object, sizeof *copy + object->size);
        if (seed & 64) {
            size_t more = copy->size + (seed >> 20 & 63);
            copy = realloc(copy, sizeof *copy + more);
            memset(copy->bytes + copy->size, 1, more - copy->size);
            memmove(copy->bytes, object->bytes, object->size);
        }
        if (seed & 128)
            memset(copy, 0, malloc_usable_size(copy));
        free(object);
        free(copy);
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < PLACES; i++)
        free(place[i]);
    puts("all right");
}
