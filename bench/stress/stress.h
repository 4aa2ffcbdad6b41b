/* What the stress patterns share. */
#ifndef STRESS_H
#define STRESS_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first argument scales the work: 1 is about a second. */
static inline long scaled(int argc, char **argv, double full) {
    double count = full * (argc > 1 ? atof(argv[1]) : 1.0);
    return count < 1 ? 1 : (long)count;
}

/* A xorshift generator; every allocator sees the same sequence. */
typedef struct {
    uint64_t state;
} Random;

static inline Random seeded(uint64_t seed) {
    Random random = {seed * 0x9E3779B97F4A7C15u | 1};
    return random;
}

static inline uint64_t bits(Random *random) {
    random->state ^= random->state << 13;
    random->state ^= random->state >> 7;
    random->state ^= random->state << 17;
    return random->state;
}

static inline size_t below(Random *random, size_t end) {
    return (size_t)(((bits(random) >> 32) * (uint64_t)end) >> 32);
}

/* Bounded Pareto with exponent 1. */
static inline size_t pareto(Random *random, double low, double high) {
    double uniform = (double)(bits(random) >> 11) / 9007199254740992.0;
    return (size_t)(low / (1.0 - uniform * (1.0 - low / high)));
}

/* An object, each byte written; the program ends where there is none. */
static inline void *written(size_t size) {
    void *object = malloc(size);
    if (!object) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return memset(object, 0xA5, size);
}

static inline void start(pthread_t *thread, void *(*run)(void *), void *argument) {
    if (pthread_create(thread, NULL, run, argument) != 0) {
        fputs("cannot start a thread\n", stderr);
        exit(1);
    }
}

#endif
