/* A program that has names of its own for what the C library also has, which ISO C lets it. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct block { char bytes[8]; };
int calls;
struct block *bcopy(struct block *to, struct block *from) { calls++; *to = *from; return to; }
long syscall(long number, void *machine) { calls++; return number + (machine != NULL); }
double environ[8] = {2.5};
/* As those do that watch what a program maps: they allocate. */
static void *note(void) { calls++; return realloc(malloc(40), 4000); }
void *mmap(void *at, size_t len) { (void)len; return at ? at : note(); }
double munmap(double x) { return note() ? x : 0; }
void *mprotect(void) { return note(); }
void *madvise(void) { return note(); }
void *mremap(void) { return note(); }
void *getrlimit(void) { return note(); }
void *prlimit(void) { return note(); }
void *sysconf(void) { return note(); }
double fcntl(double x) { return note() ? x : 0; }
void *fstat(void) { return note(); }
void *getpid(void) { return note(); }
void *getppid(void) { return note(); }

static void *work(void *argument) {
    for (int i = 0; i < 2000; i++) {
        char *p = malloc(100 + i);
        memset(p, i, 100 + i);
        p = realloc(p, 300 + 3 * i);
        if (p[0] != (char)i || p[99 + i] != (char)i) return NULL;
        free(p);
    }
    return argument;
}

int main(void) {
    for (size_t size = 1; size < 300000; size = size * 3 + 1) {
        unsigned char *p = malloc(size);
        for (size_t i = 0; i < size; i++) p[i] = (unsigned char)(i * 7 + 3);
        p = realloc(p, size * 40);
        for (size_t i = 0; i < size; i++)
            if (p[i] != (unsigned char)(i * 7 + 3)) return printf("realloc %zu\n", size), 1;
        /* Overlapping, both ways, near and far. */
        for (size_t by = 1; by < 2 * size; by = by * 5 + 2) {
            memmove(p + by, p, size);
            for (size_t i = 0; i < size; i++)
                if (p[by + i] != (unsigned char)(i * 7 + 3)) return printf("up %zu %zu\n", size, by), 1;
            memmove(p, p + by, size);
            for (size_t i = 0; i < size; i++)
                if (p[i] != (unsigned char)(i * 7 + 3)) return printf("down %zu %zu\n", size, by), 1;
        }
        free(p);
    }
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, &calls);
    for (int i = 0; i < 4; i++) {
        void *end;
        pthread_join(threads[i], &end);
        if (end == NULL) return puts("thread"), 1;
    }
    if (calls != 0 || environ[0] != 2.5) return puts("called"), 1;
    puts("all right");
    return 0;
}
