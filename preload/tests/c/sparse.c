/* Pages that nobody touches are not made present, and a child does not copy what it does not change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static long faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static int failures;

static void few(const char *what, long before, long most) {
    long seen = faults() - before;
    if (seen > most) failures++, printf("%s: %ld page faults\n", what, seen);
}

int main(void) {
    const size_t large = (size_t)1 << 30;
    long before = faults();
    char *zeroed = calloc(1, large);
    if (!zeroed || zeroed[large / 2]) return puts("calloc"), 1;
    few("calloc", before, 2000);
    free(zeroed);

    before = faults();
    char *object = malloc(large);
    memset(object, 'x', 1 << 20);
    object = realloc(object, 2 << 20);
    few("shrinking", before, 2000);
    for (int i = 0; i < 1 << 20; i++)
        if (object[i] != 'x') return puts("contents"), 1;
    free(object);

    enum { COUNT = 2000000 };
    static void *objects[COUNT];
    for (int i = 0; i < COUNT; i++) objects[i] = malloc(24);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        free(malloc(24));
        /* All of its own, since it counts from 0. */
        few("child", 0, 500);
        fflush(stdout);
        _exit(failures != 0);
    }
    int status;
    waitpid(child, &status, 0);
    if (status != 0) failures++;
    for (int i = 0; i < COUNT; i++) free(objects[i]);
    puts(failures ? "failed" : "all right");
    return failures != 0;
}
