/* One call of a memory function, right or wrong: FUNCTION CASE SIZE. Prints "survived" if it
 * comes back. */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

void *__memcpy_chk(void *, const void *, size_t, size_t);
void *__memmove_chk(void *, const void *, size_t, size_t);
void *__mempcpy_chk(void *, const void *, size_t, size_t);
void *__memset_chk(void *, int, size_t, size_t);
void __explicit_bzero_chk(void *, size_t, size_t);
char *__strcpy_chk(char *, const char *, size_t);
char *__stpcpy_chk(char *, const char *, size_t);
char *__strcat_chk(char *, const char *, size_t);
char *__strncpy_chk(char *, const char *, size_t, size_t);
char *__stpncpy_chk(char *, const char *, size_t, size_t);
char *__strncat_chk(char *, const char *, size_t, size_t);

enum { MOST = 8 << 20 };
static char text[MOST], other[MOST];
/* What the compiler would have found out of the destination. */
static size_t room = SIZE_MAX;

/* A string of this many bytes, without its end. */
static const char *string(size_t len) {
    memset(text, 'a', len);
    text[len] = 0;
    return text;
}

/* How a function is called to write `n` bytes to `to`; and, if it reads, to read `n` bytes of
 * `from`, which has no end but perhaps the last of them. */
enum form { COPY, FILL, STRING, APPEND, PADDED, APPEND_PART };
struct function {
    const char *name;
    enum form form;
};
static const struct function functions[] = {
    {"memcpy", COPY},         {"memmove", COPY},        {"mempcpy", COPY},
    {"memset", FILL},         {"bzero", FILL},          {"explicit_bzero", FILL},
    {"strcpy", STRING},       {"stpcpy", STRING},       {"strcat", APPEND},
    {"strncpy", PADDED},      {"stpncpy", PADDED},      {"strncat", APPEND_PART},
    {"__memcpy_chk", COPY},   {"__memmove_chk", COPY},  {"__mempcpy_chk", COPY},
    {"__memset_chk", FILL},   {"__explicit_bzero_chk", FILL},
    {"__strcpy_chk", STRING}, {"__stpcpy_chk", STRING}, {"__strcat_chk", APPEND},
    {"__strncpy_chk", PADDED}, {"__stpncpy_chk", PADDED}, {"__strncat_chk", APPEND_PART},
};

static void call(const char *name, char *to, const char *from, size_t n) {
    if (!strcmp(name, "memcpy")) memcpy(to, from, n);
    else if (!strcmp(name, "memmove")) memmove(to, from, n);
    else if (!strcmp(name, "mempcpy")) mempcpy(to, from, n);
    else if (!strcmp(name, "memset")) memset(to, 5, n);
    else if (!strcmp(name, "bzero")) bzero(to, n);
    else if (!strcmp(name, "explicit_bzero")) explicit_bzero(to, n);
    else if (!strcmp(name, "strcpy")) strcpy(to, from);
    else if (!strcmp(name, "stpcpy")) stpcpy(to, from);
    else if (!strcmp(name, "strcat")) strcat(to, from);
    else if (!strcmp(name, "strncpy")) strncpy(to, from, n);
    else if (!strcmp(name, "stpncpy")) stpncpy(to, from, n);
    else if (!strcmp(name, "strncat")) strncat(to, from, n);
    else if (!strcmp(name, "__memcpy_chk")) __memcpy_chk(to, from, n, room);
    else if (!strcmp(name, "__memmove_chk")) __memmove_chk(to, from, n, room);
    else if (!strcmp(name, "__mempcpy_chk")) __mempcpy_chk(to, from, n, room);
    else if (!strcmp(name, "__memset_chk")) __memset_chk(to, 5, n, room);
    else if (!strcmp(name, "__explicit_bzero_chk")) __explicit_bzero_chk(to, n, room);
    else if (!strcmp(name, "__strcpy_chk")) __strcpy_chk(to, from, room);
    else if (!strcmp(name, "__stpcpy_chk")) __stpcpy_chk(to, from, room);
    else if (!strcmp(name, "__strcat_chk")) __strcat_chk(to, from, room);
    else if (!strcmp(name, "__strncpy_chk")) __strncpy_chk(to, from, n, room);
    else if (!strcmp(name, "__stpncpy_chk")) __stpncpy_chk(to, from, n, room);
    else if (!strcmp(name, "__strncat_chk")) __strncat_chk(to, from, n, room);
    else _exit(3);
}

/* Has `n` bytes written to `to`, where a string already is if one is appended. */
static void write_to(struct function f, char *to, size_t n) {
    switch (f.form) {
    case COPY: case FILL: call(f.name, to, string(n), n); break;
    case STRING: call(f.name, to, string(n - 1), 0); break;
    case PADDED: call(f.name, to, string(n / 2), n); break;
    case APPEND: case APPEND_PART: {
        size_t before = strnlen(to, n - 1);
        call(f.name, to, string(n - 1 - before), n - 1 - before + 7);
    }
    }
}

/* A string of half the bytes, for what appends. */
static void prepare(struct function f, char *to, size_t n) {
    if (f.form == APPEND || f.form == APPEND_PART) {
        for (size_t i = 0; i < n / 2; i++)
            to[i] = 'b';
        if (n)
            to[n / 2] = 0;
    }
}

/* Has `n` bytes read of the object of `size` bytes at `from`. */
static void read_from(struct function f, char *from, size_t size, size_t n) {
    for (size_t i = 0; i < size; i++)
        from[i] = 'c';
    /* An end that is not there is looked for, and the canary has one. */
    if ((f.form == STRING || f.form == APPEND) && n <= size)
        from[n - 1] = 0;
    other[0] = 0;
    call(f.name, other, from, n);
}

static void *release(void *object) {
    free(object);
    return NULL;
}

static void in_thread(void *(*run)(void *), void *with) {
    pthread_t thread;
    pthread_create(&thread, NULL, run, with);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    struct function f = {0};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!strcmp(functions[i].name, argv[1]))
            f = functions[i];
    const char *what = argv[2];
    size_t size = strtoul(argv[3], NULL, 10);
    static char still[MOST];
    char *p = malloc(size), *inside = p + size / 2;
    memset(p, 0, size);
    if (!f.name)
        return 2;
    if (!strcmp(what, "exact")) {
        prepare(f, p, size);
        write_to(f, p, size);
        free(p);
    } else if (!strcmp(what, "one more")) {
        prepare(f, p, size);
        write_to(f, p, size + 1);
    } else if (!strcmp(what, "one more, static")) {
        prepare(f, still, size);
        write_to(f, still, size + 1);
    } else if (!strcmp(what, "one more, inside")) {
        prepare(f, inside, size - size / 2);
        write_to(f, inside, size - size / 2 + 1);
    } else if (!strcmp(what, "exact, inside")) {
        prepare(f, inside, size - size / 2);
        write_to(f, inside, size - size / 2);
        free(p);
    } else if (!strcmp(what, "exact, end")) {
        if (size)
            write_to(f, p + size - 1, 1);
        free(p);
    } else if (!strcmp(what, "at the end")) {
        write_to(f, p + size, 1);
    } else if (!strcmp(what, "huge")) {
        /* A length below zero, as a number without a sign. */
        call(f.name, p, text, (size_t)-8);
    } else if (!strcmp(what, "freed")) {
        free(p);
        write_to(f, p, 1);
    } else if (!strcmp(what, "freed by a thread")) {
        in_thread(release, p);
        write_to(f, p, 1);
    } else if (!strcmp(what, "grown")) {
        p = realloc(p, size + 5);
        memset(p, 0, size + 5);
        write_to(f, p, size + 5);
        free(p);
    } else if (!strcmp(what, "usable")) {
        size_t usable = malloc_usable_size(p);
        memset(p, 0, usable);
        write_to(f, p, usable);
        free(p);
    } else if (!strcmp(what, "one more, usable")) {
        size_t usable = malloc_usable_size(p);
        memset(p, 0, usable);
        write_to(f, p, usable + 1);
    } else if (!strcmp(what, "no byte")) {
        if (f.form == COPY || f.form == FILL || f.form == PADDED) {
            call(f.name, p + size, text, 0);
            call(f.name, malloc(0), text, 0);
            call(f.name, still, p + size, 0);
            call(f.name, (char *)16, text, 0);
            free(p);
            call(f.name, p, text, 0);
            call(f.name, still, p, 0);
        }
    } else if (!strcmp(what, "nothing")) {
        write_to(f, malloc(0), 1);
    } else if (!strcmp(what, "read exact")) {
        if (f.form != FILL)
            read_from(f, p, size, size);
        free(p);
    } else if (!strcmp(what, "read one more")) {
        read_from(f, p, size, size + 1);
    } else if (!strcmp(what, "read freed")) {
        free(p);
        other[0] = 0;
        call(f.name, other, p, 1);
    } else if (!strcmp(what, "room")) {
        /* Right for the heap, too much for what the compiler knows. */
        prepare(f, p, size);
        room = size - 1;
        write_to(f, p, size);
    } else if (!strcmp(what, "room, exact")) {
        prepare(f, p, size);
        room = size;
        write_to(f, p, size);
        free(p);
    } else if (!strcmp(what, "untouched")) {
        /* A child on the same memory dies of it; what it has written can be seen. */
        static char before[MOST];
        prepare(f, p, size);
        for (size_t i = 0; i < size + 1; i++)
            before[i] = ((volatile char *)p)[i];
        int status;
        pid_t child = vfork();
        if (child == 0) {
            write_to(f, p, size + 1);
            _exit(0);
        }
        waitpid(child, &status, 0);
        if (!WIFSIGNALED(status))
            return 4;
        for (size_t i = 0; i < size + 1; i++)
            if (((volatile char *)p)[i] != before[i])
                return 5;
    } else {
        return 2;
    }
    puts("survived");
    fflush(stdout);
    _exit(0);
}
