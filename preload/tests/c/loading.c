/* Loads and unloads a library many times: loading PATH TIMES SYMBOL */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *path, *name;

static void *once(void *null) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        printf("%s\n", dlerror());
        exit(1);
    }
    size_t (*function)(size_t) = dlsym(library, name);
    if (!function || (strcmp(name, "malloc") && function(0) != 400)) {
        printf("%s is wrong\n", name);
        exit(1);
    }
    if (!strcmp(name, "malloc")) {
        void *(*take)(size_t) = (void *)function;
        void (*give)(void *) = dlsym(library, "free");
        void *p = take(100);
        memset(p, 1, 100);
        give(p);
    }
    dlclose(library);
    return null;
}

int main(int argc, char **argv) {
    path = argv[1];
    name = argv[3];
    for (int i = 0, times = atoi(argv[2]); i < times; i++)
        if (i % 64 == 63) {
            pthread_t thread;
            pthread_create(&thread, NULL, once, NULL);
            pthread_join(thread, NULL);
        } else {
            once(NULL);
        }
    printf("all right\n");
    return 0;
}
