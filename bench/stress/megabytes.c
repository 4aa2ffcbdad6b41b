/* Buffers of 5 to 25 MiB, twenty at once, a random one replaced each time. Only the first bytes of
 * every page are written, as by a program that reserves generously. */
#include "stress.h"

enum { BUFFERS = 20, PAGE = 4096, MIB = 1 << 20 };

int main(int argc, char **argv) {
    char *buffers[BUFFERS] = {NULL};
    Random random = seeded(1);
    long steps = scaled(argc, argv, 600);
    for (long step = 0; step < steps; step++) {
        char **buffer = &buffers[below(&random, BUFFERS)];
        free(*buffer);
        size_t size = (5 + below(&random, 20)) * (size_t)MIB;
        *buffer = malloc(size);
        if (!*buffer) return 1;
        for (size_t at = 0; at < size; at += PAGE) ((volatile char *)*buffer)[at] = 1;
    }
    for (int i = 0; i < BUFFERS; i++) free(buffers[i]);
    return 0;
}
