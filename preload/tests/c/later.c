/* A program in C that loads a library in C++, seen by nobody else: later PATH */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv) {
    if (dlopen("libstdc++.so.6", RTLD_NOW | RTLD_NOLOAD)) {
        printf("the program has C++ already\n");
        return 1;
    }
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        printf("%s\n", dlerror());
        return 1;
    }
    int (*attempts)(void) = (int (*)(void))dlsym(library, "attempts");
    int wrong = attempts();
    if (wrong) {
        printf("case %d\n", wrong);
        return 1;
    }
    dlclose(library);
    printf("all right\n");
    return 0;
}
