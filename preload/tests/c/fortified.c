/* Calls that the compiler turns into fortified ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile size_t n64 = 64, n63 = 63, n65 = 65, n10 = 10;
static char source[256];

struct box {
    char name[64];
    char rest[64];
};
/* What the compiler knows of this is its type alone, and it must be here. */
static struct box *volatile held;

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    memset(source, 'x', n63);
    if (!strcmp(what, "right")) {
        struct box *box = malloc(sizeof *box);
        char local[64];
        memcpy(box->name, source, n64);
        memmove(box->name, box->name + 1, n63);
        memset(box->name, 0, n64);
        strcpy(box->name, source);
        memset(box->name, 0, n64);
        strcat(box->name, source);
        strncpy(box->name, source, n64);
        memcpy(local, source, n64);
        strcpy(local, source);
        int fine = !strcmp(local, box->name) && strlen(local) == 63;
        free(box);
        puts(fine ? "all right" : "wrong");
    } else if (!strcmp(what, "known")) {
        char local[64];
        memset(local, 0, n65);
        puts(local);
    } else if (!strcmp(what, "unknown")) {
        /* 128 bytes of a type, of which only 64 were allocated. */
        held = malloc(n64);
        memset(held->rest, 1, n10);
        puts("survived");
        fflush(stdout);
        _exit(0);
    } else if (!strcmp(what, "stale")) {
        held = malloc(sizeof *held);
        free(held);
        strcpy(held->name, source);
        puts("survived");
        fflush(stdout);
        _exit(0);
    }
    return 0;
}
