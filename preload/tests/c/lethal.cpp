// One misuse a run: the case by name, and the size of the object. "survived" if nothing stopped it.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <new>
#include <pthread.h>
#include <string>
#include <dlfcn.h>

static std::size_t size;
static volatile int sink;

template <class F> static F symbol(const char *name) {
    return reinterpret_cast<F>(dlsym(RTLD_DEFAULT, name));
}
using FreeSized = void (*)(void *, std::size_t);
using FreeAlignedSized = void (*)(void *, std::size_t, std::size_t);

static char *get() {
    char *p = static_cast<char *>(std::malloc(size));
    std::memset(p, 1, size);
    return p;
}

static void in_thread(void (*f)(void *), void *argument) {
    struct Call {
        void (*f)(void *);
        void *argument;
    } call{f, argument};
    pthread_t thread;
    pthread_create(&thread, nullptr, [](void *p) -> void * {
        auto *call = static_cast<Call *>(p);
        call->f(call->argument);
        return nullptr;
    }, &call);
    pthread_join(thread, nullptr);
}

/// Replaces objects of the size among some that live, until each freed slot was handed out again.
static void churn() {
    static void *all[1000];
    for (unsigned turn = 0, at = 1; turn < 400000; turn++) {
        at = at * 1664525 + 1013904223;
        void *&p = all[(at >> 8) % 1000];
        std::free(p);
        p = std::malloc(size);
    }
}

int main(int, char **argv) {
    std::string what = argv[1];
    size = std::strtoul(argv[2], nullptr, 10);
    std::align_val_t narrow{64}, wide{128};
    // A thread's first objects are a guest's; these cases are about its own.
    for (int i = 0; i < 200; i++)
        std::free(std::malloc(32));
    void *keep[8];
    for (auto &p : keep)
        p = std::malloc(size);

    if (what == "sized delete, more") {
        ::operator delete(::operator new(size), size + 1);
    } else if (what == "sized delete, less") {
        ::operator delete(::operator new(size), size - 1);
    } else if (what == "sized delete[]") {
        ::operator delete[](::operator new[](size), size + 1);
    } else if (what == "sized aligned delete") {
        ::operator delete(::operator new(size, narrow), size + 1, narrow);
    } else if (what == "free_sized") {
        symbol<FreeSized>("free_sized")(std::malloc(size), size + 1);
    } else if (what == "free_aligned_sized") {
        symbol<FreeAlignedSized>("free_aligned_sized")(aligned_alloc(64, size), 64, size + 1);
    } else if (what == "free_aligned_sized, alignment") {
        symbol<FreeAlignedSized>("free_aligned_sized")(aligned_alloc(64, size), 128, size);
    } else if (what == "aligned delete, other alignment") {
        ::operator delete(::operator new(size, narrow), wide);
    } else if (what == "aligned delete, impossible alignment") {
        ::operator delete(::operator new(size, narrow), std::align_val_t(48));
    } else if (what == "aligned delete[], other alignment") {
        ::operator delete[](::operator new[](size, wide), narrow);
    } else if (what == "new[], delete") {
        ::operator delete(::operator new[](size));
    } else if (what == "new, delete[]") {
        ::operator delete[](::operator new(size));
    } else if (what == "new, free") {
        std::free(::operator new(size));
    } else if (what == "malloc, delete") {
        ::operator delete(std::malloc(size));
    } else if (what == "new, realloc") {
        std::free(std::realloc(::operator new(size), size + 100));
    } else if (what == "aligned new, delete") {
        ::operator delete(::operator new(size, narrow));
    } else if (what == "new, aligned delete") {
        // Not a matter of interfaces: an alignment is named, and it is another.
        ::operator delete(::operator new(size), narrow);
    } else if (what == "a byte past the end") {
        char *p = get();
        p[size] ^= 0x55;
        std::free(p);
    } else if (what == "a NUL past the end") {
        char *p = get();
        p[size] = 0;
        std::free(p);
    } else if (what == "a byte past the end, realloc") {
        char *p = get();
        p[size] ^= 0x55;
        p = static_cast<char *>(std::realloc(p, size * 2));
    } else if (what == "a byte past the end, new") {
        char *p = new char[size];
        p[size] ^= 0x55;
        delete[] p;
    } else if (what == "a byte past the end, thread") {
        char *p = get();
        p[size] ^= 0x55;
        in_thread(std::free, p);
    } else if (what == "a byte before the start") {
        // Not the first of a slab, below which lies a guard: one with another right below it.
        static char *all[300];
        for (auto &p : all)
            p = get();
        char *p = nullptr;
        for (char *one : all)
            for (char *other : all)
                if (one - other > 0 && one - other < 2 * (std::ptrdiff_t(size) + 16))
                    p = one;
        if (size > 1000000)
            p = all[0];
        p[-1] ^= 0x55;
        std::free(p);
    } else if (what == "a page past the end") {
        char *p = get();
        for (std::size_t i = 0; i < 1 << 16; i++)
            p[size + i] = 1;
    } else if (what == "double free") {
        char *p = get();
        std::free(p);
        std::free(p);
    } else if (what == "double free, later") {
        char *p = get();
        std::free(p);
        for (int i = 0; i < 3; i++)
            std::free(std::malloc(size));
        std::free(p);
    } else if (what == "double free, thread") {
        char *p = get();
        in_thread(std::free, p);
        std::free(p);
    } else if (what == "double delete") {
        char *p = new char[size];
        delete[] p;
        delete[] p;
    } else if (what == "realloc of a freed one") {
        char *p = get();
        std::free(p);
        sink = std::realloc(p, size + 1) != nullptr;
    } else if (what == "usable size of a freed one") {
        char *p = get();
        std::free(p);
        sink = malloc_usable_size(p);
    } else if (what == "free of the stack") {
        alignas(16) char local[64];
        std::free(local);
    } else if (what == "free of a static") {
        alignas(16) static char data[64];
        std::free(data);
    } else if (what == "free of an interior") {
        std::free(get() + 16);
    } else if (what == "free of a misaligned") {
        std::free(get() + 3);
    } else if (what == "realloc of the stack") {
        alignas(16) char local[64];
        sink = std::realloc(local, 100) != nullptr;
    } else if (what == "write after free") {
        char *p = get();
        std::free(p);
        p[size / 2] = 1;
        churn();
    } else if (what == "read of a freed large one") {
        char *p = get();
        std::free(p);
        sink = p[0];
    } else if (what == "write to nothing") {
        *static_cast<volatile char *>(std::malloc(0)) = 1;
    } else if (what == "read of nothing") {
        sink = *static_cast<volatile char *>(std::malloc(0));
    } else if (what == "write to nothing, new") {
        *static_cast<volatile char *>(::operator new(0)) = 1;
    } else if (what == "double free of nothing") {
        void *p = std::malloc(0);
        std::free(p);
        std::free(p);
    } else if (what == "sized delete of nothing") {
        ::operator delete(::operator new(0), std::size_t(1));
    } else if (what == "usable size") {
        char *p = get(), *q = get(), *r = get();
        for (char *one : {p, q, r})
            std::memset(one, 7, malloc_usable_size(one));
        in_thread(std::free, p);
        std::free(q);
        std::free(r);
    } else if (what == "a byte past the usable size") {
        char *p = get();
        std::size_t usable = malloc_usable_size(p);
        p[usable] ^= 0x55;
        std::free(p);
    } else if (what == "sized delete after usable size") {
        char *p = static_cast<char *>(::operator new(size));
        std::memset(p, 7, malloc_usable_size(p));
        ::operator delete(p, size);
    } else if (what == "other class after usable size") {
        char *p = static_cast<char *>(::operator new(size));
        std::memset(p, 7, malloc_usable_size(p));
        ::operator delete(p, size * 3 + 100);
    } else {
        std::puts("no such case");
        return 2;
    }
    std::puts("survived");
}
