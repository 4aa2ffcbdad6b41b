/* Forks of a program with busy threads; vfork, posix_spawn, exec, _exit; children that allocate,
 * free what they inherited, start threads and fork again. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_int stop;
static char *inherited[200];

static void churn(int turns, unsigned random) {
    void *live[64] = {0};
    for (int i = 0; i < turns; i++) {
        random = random * 1664525 + 1013904223;
        void **cell = &live[random >> 8 & 63];
        free(*cell);
        *cell = malloc((random >> 16) % 3000);
    }
    for (int i = 0; i < 64; i++)
        free(live[i]);
}

static void *busy(void *seed) {
    while (!stop)
        churn(1000, (long)seed);
    return NULL;
}

static void *briefly(void *seed) {
    churn(500, (long)seed);
    return NULL;
}

static void child(int depth) {
    churn(2000, 5);
    for (int i = 0; i < 200; i++) {
        if (inherited[i][99] != (char)i)
            _exit(9);
        inherited[i] = realloc(inherited[i], 300);
        free(inherited[i]);
    }
    pthread_t thread;
    pthread_create(&thread, NULL, briefly, (void *)7);
    pthread_join(thread, NULL);
    if (depth) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            churn(500, 6);
            _exit(0);
        }
        int status;
        waitpid(grandchild, &status, 0);
        if (status)
            _exit(8);
    }
    if (depth & 1)
        exit(0);
    _exit(0);
}

static int ended(pid_t pid, int expected, const char *what) {
    int status = -1;
    if (pid <= 0 || waitpid(pid, &status, 0) != pid || status != expected << 8) {
        printf("%s: status %x\n", what, status);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1) {
        churn(1000, 3);
        return 3;
    }
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int i = 0; i < 200; i++) {
        inherited[i] = malloc(100);
        memset(inherited[i], i, 100);
    }
    pthread_t threads[4];
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, busy, (void *)(i + 1));
    int wrong = 0;
    extern char **environ;
    char *again[] = {argv[0], "again", NULL};
    for (int i = 0; i < 50 && !wrong; i++) {
        pid_t pid = fork();
        if (pid == 0)
            child(i % 4);
        wrong += ended(pid, 0, "fork");
        pid = vfork();
        if (pid == 0) {
            execv("/proc/self/exe", again);
            _exit(1);
        }
        wrong += ended(pid, 3, "vfork");
        posix_spawn(&pid, "/proc/self/exe", NULL, NULL, again, environ);
        wrong += ended(pid, 3, "posix_spawn");
        /* A fork that runs no handlers. */
        pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (pid == 0) {
            churn(2000, 4);
            _exit(4);
        }
        wrong += ended(pid, 4, "clone");
        pid = fork();
        if (pid == 0) {
            execv("/proc/self/exe", again);
            _exit(1);
        }
        wrong += ended(pid, 3, "exec");
    }
    stop = 1;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf("%s\n", wrong ? "wrong" : "all right");
    return 0;
}
