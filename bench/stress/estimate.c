/* The estimate of bench/allocators/src/estimate.rs for programs in C and C++, to be preloaded: a
 * peer's heap, and around it only what the protections do to the objects themselves. A freed
 * block's canary is looked at, the block is wiped and waits; an allocated one is a random one of
 * 32, is looked through, and gets a canary. The caller is believed: what is freed is a block.
 *
 * MIMALLOC: on mimalloc, which is linked in; otherwise on glibc. WIPE, CANARY, RANDOM, DELAY: what
 * is done. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef MIMALLOC
extern void *mi_malloc(size_t), *mi_zalloc(size_t), *mi_realloc(void *, size_t);
extern void *mi_memalign(size_t, size_t), mi_free(void *);
extern size_t mi_usable_size(const void *);
#define peer_malloc mi_malloc
#define peer_zalloc mi_zalloc
#define peer_realloc mi_realloc
#define peer_memalign mi_memalign
#define peer_free mi_free
#define usable mi_usable_size
#else
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t), __libc_free(void *);
#define peer_malloc __libc_malloc
#define peer_zalloc(size) __libc_calloc(1, size)
#define peer_realloc __libc_realloc
#define peer_memalign __libc_memalign
#define peer_free __libc_free
/* In glibc the word before a block holds its size and three flags, the second of which says that
 * the block is a mapping of its own. */
static size_t usable(const void *p) {
    size_t word = ((const size_t *)p)[-1];
    return (word & ~(size_t)7) - (word & 2 ? 16 : 8);
}
#endif

enum {
    LARGEST = 32 << 10, /* larger objects are the peer's, wiped and with a canary */
    CLASSES = 64 + 4 * 6,
    BATCH = 32,
    WAITING = 64 << 10, /* bytes of a class that wait, rounded up to a power of two of blocks */
    WAITERS = 1024,
    WAITING_IN_ALL = 1 << 20, /* bytes of a thread that wait */
};

typedef struct {
    void *fresh[BATCH];
    size_t count;
    void **ring;
    size_t mask, head, waiting;
} Class;

typedef struct {
    uint64_t random;
    size_t waiting;
    int known, ended;
    Class class[CLASSES];
} Cache;

static __thread Cache cache __attribute__((tls_model("initial-exec")));
static pthread_key_t at_exit;
static int has_key;

/* The class for so many bytes, and its size. */
static inline unsigned class_of(size_t bytes, size_t *size) {
    if (bytes <= 1024) {
        unsigned i = (bytes + 15) / 16 - 1;
        *size = (i + 1) * 16;
        return i;
    }
    unsigned log = 63 - __builtin_clzl(bytes - 1);
    unsigned quarter = (bytes - 1) >> (log - 2) & 3;
    *size = ((size_t)1 << log) + ((size_t)(quarter + 1) << (log - 2));
    return 64 + (log - 10) * 4 + quarter;
}

static inline uint64_t *last_word(void *p) {
    return (uint64_t *)((char *)p + (usable(p) & ~(size_t)7) - 8);
}

static inline uint64_t canary(uint64_t *at) {
    return ((uintptr_t)at ^ 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u & ~(uint64_t)0xff;
}

static inline void *seal(void *p) {
#ifdef CANARY
    if (p) {
        uint64_t *last = last_word(p);
        *last = canary(last);
    }
#endif
    return p;
}

static inline void look_through(const void *p, size_t from, size_t to) {
#ifdef WIPE
    const uint64_t *words = p;
    uint64_t sum = 0;
    for (size_t i = from / 8; i < to / 8; i++) sum |= words[i];
    __asm__ volatile("" : : "r"(sum) : "memory");
#else
    (void)p, (void)from, (void)to;
#endif
}

static inline size_t below(size_t limit) {
    uint64_t x = cache.random;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    cache.random = x;
    return (x >> 32) * limit >> 32;
}

static inline void give_back(Class *class) {
    peer_free(class->ring[class->head++ & class->mask]);
    class->waiting--;
}

/* The thread ends: everything that it keeps goes back. */
static void end(void *unused) {
    (void)unused;
    cache.ended = 1;
    for (Class *class = cache.class; class < cache.class + CLASSES; class++) {
        while (class->waiting) give_back(class);
        while (class->count) peer_free(class->fresh[--class->count]);
        if (class->ring) peer_free(class->ring);
        class->ring = NULL;
    }
}

__attribute__((constructor)) static void begin(void) {
    has_key = pthread_key_create(&at_exit, end) == 0;
}

__attribute__((cold, noinline)) static int refill(Class *class, size_t size) {
    if (!cache.random) cache.random = (uintptr_t)&cache | 1;
    /* Constructors of other libraries may come before that of this one. */
    if (has_key && !cache.known) cache.known = pthread_setspecific(at_exit, &cache) == 0;
    size_t batch = size <= 4096 ? BATCH : 8;
    for (size_t n = 0; n < batch; n++) {
        void *new = peer_malloc(size);
        if (!new) return n != 0;
#ifdef RANDOM
        size_t at = below(n + 1);
        class->fresh[n] = class->fresh[at];
#else
        size_t at = 0; /* the peer's order: taken from the end */
        memmove(class->fresh + 1, class->fresh, n * sizeof *class->fresh);
#endif
        class->fresh[at] = new;
        class->count = n + 1;
    }
    return 1;
}

static inline void *allocate(size_t bytes) {
    size_t size;
    unsigned i = class_of(bytes, &size);
    Class *class = &cache.class[i];
    if (cache.ended) return peer_malloc(size);
    if (!class->count && !refill(class, size)) return NULL;
    return class->fresh[--class->count];
}

/* Keeps a freed block, and gives one back that has waited long enough. */
static inline void wait(void *p, size_t bytes) {
    size_t size;
    Class *class = &cache.class[class_of(bytes, &size)];
    if (cache.ended) return peer_free(p);
    if (!class->ring) {
        size_t places = 2;
        while (places < WAITERS && places * size < WAITING) places *= 2;
        class->ring = peer_malloc(places * sizeof(void *));
        if (!class->ring) return peer_free(p);
        class->mask = places - 1;
    }
    if (class->waiting > class->mask || (cache.waiting + size > WAITING_IN_ALL && class->waiting))
        give_back(class);
    else
        cache.waiting += size;
    class->ring[(class->head + class->waiting++) & class->mask] = p;
}

static void *none(void) {
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size) {
    if (size > PTRDIFF_MAX) return none();
    if (size > LARGEST - 8) return seal(peer_malloc(size + 8));
    void *p = allocate(size + 8);
    if (!p) return none();
    /* Not its first words, where the peer had its links. */
    look_through(p, 16, size + 8);
    ((uint64_t *)p)[0] = 0;
    return seal(p);
}

void *calloc(size_t count, size_t each) {
    size_t size;
    if (__builtin_mul_overflow(count, each, &size) || size > PTRDIFF_MAX) return none();
    if (size > LARGEST - 8) return seal(peer_zalloc(size + 8));
    void *p = allocate(size + 8);
    return p ? seal(memset(p, 0, size)) : none();
}

void free(void *p) {
    if (!p) return;
    size_t bytes = usable(p);
#ifdef CANARY
    uint64_t *last = last_word(p);
    if (*last != canary(last)) abort();
#endif
#ifdef WIPE
    memset(p, 0, bytes & ~(size_t)7);
    __asm__ volatile("" : : "r"(p) : "memory");
#endif
#ifdef DELAY
    if (bytes <= LARGEST) return wait(p, bytes);
#else
    (void)wait;
#endif
    peer_free(p);
}

void *realloc(void *p, size_t size) {
    if (!p) return malloc(size);
    if (size > PTRDIFF_MAX) return none();
    size_t had = usable(p), least = size + 8;
    /* What is left behind is not wiped: the estimate stays below what is possible. */
    if (had > LARGEST && least > LARGEST) {
        void *new = peer_realloc(p, least);
        return new ? seal(new) : none();
    }
    if (least <= had && had - least <= had / 4) return p;
    void *new = malloc(size);
    if (!new) return NULL;
    memcpy(new, p, had - 8 < size ? had - 8 : size);
    free(p);
    return new;
}

size_t malloc_usable_size(void *p) { return p ? (usable(p) & ~(size_t)7) - 8 : 0; }

void *memalign(size_t align, size_t size) {
    return size > PTRDIFF_MAX ? none() : seal(peer_memalign(align, size + 8));
}

void *aligned_alloc(size_t align, size_t size) { return memalign(align, size); }

int posix_memalign(void **out, size_t align, size_t size) {
    if (align % sizeof(void *) || !align || (align & (align - 1))) return EINVAL;
    void *p = memalign(align, size);
    if (!p) return ENOMEM;
    *out = p;
    return 0;
}
