// Every form of operator new and delete, with memory and without.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <csetjmp>
#include <csignal>

static int checks, failures;
#define CHECK(condition)                                           \
    do {                                                           \
        checks++;                                                  \
        if (!(condition)) {                                        \
            failures++;                                            \
            std::printf("line %d: %s\n", __LINE__, #condition);    \
        }                                                          \
    } while (0)

static int calls;
static volatile bool unwound;
struct Witness {
    ~Witness() { unwound = true; }
};

static sigjmp_buf back;
static void fault(int) { siglongjmp(back, 1); }

template <class F> static bool throws_bad_alloc(F f) {
    unwound = false;
    try {
        Witness witness;
        f();
    } catch (const std::bad_alloc &) {
        return unwound;
    }
    return false;
}

int main(int argc, char **) {
    bool plain = argc > 1;
    std::signal(SIGSEGV, fault);
    volatile std::size_t huge = PTRDIFF_MAX;
    for (std::size_t n = 0; n < 3000000; n = n * 2 + 1) {
        void *p = ::operator new(n);
        CHECK(p && std::uintptr_t(p) % 16 == 0);
        std::memset(p, 1, n);
        ::operator delete(p);
        p = ::operator new(n, std::nothrow);
        std::memset(p, 1, n);
        ::operator delete(p, std::nothrow);
        p = ::operator new(n);
        ::operator delete(p, n);
        p = ::operator new[](n);
        CHECK(p);
        std::memset(p, 1, n);
        ::operator delete[](p);
        p = ::operator new[](n, std::nothrow);
        ::operator delete[](p, std::nothrow);
        p = ::operator new[](n);
        ::operator delete[](p, n);
        for (std::size_t a = 1; a <= 1 << 17; a *= 2) {
            std::align_val_t align{a};
            p = ::operator new(n, align);
            CHECK(p && std::uintptr_t(p) % a == 0);
            std::memset(p, 1, n);
            ::operator delete(p, align);
            p = ::operator new(n, align, std::nothrow);
            ::operator delete(p, align, std::nothrow);
            p = ::operator new(n, align);
            ::operator delete(p, n, align);
            p = ::operator new[](n, align);
            CHECK(p && std::uintptr_t(p) % a == 0);
            ::operator delete[](p, align);
            p = ::operator new[](n, align, std::nothrow);
            ::operator delete[](p, align, std::nothrow);
            p = ::operator new[](n, align);
            ::operator delete[](p, n, align);
        }
    }
    ::operator delete(nullptr);
    ::operator delete[](nullptr);
    ::operator delete(nullptr, std::size_t(9));
    ::operator delete(nullptr, std::align_val_t(64));
    void *zero = ::operator new(0), *other = ::operator new(0);
    CHECK(zero && other && zero != other);
    if (!plain && !sigsetjmp(back, 1)) {
        *(volatile char *)zero = 1;
        CHECK(!"a zero-size object can be written");
    }
    ::operator delete(zero, std::size_t(0));
    ::operator delete(other);

    // Exhaustion without a handler.
    CHECK(throws_bad_alloc([&] { (void)::operator new(huge); }));
    CHECK(throws_bad_alloc([&] { (void)::operator new[](huge); }));
    CHECK(throws_bad_alloc([&] { (void)::operator new(huge, std::align_val_t(64)); }));
    CHECK(throws_bad_alloc([&] { (void)::operator new[](huge, std::align_val_t(64)); }));
    CHECK(::operator new(huge, std::nothrow) == nullptr);
    CHECK(::operator new[](huge, std::nothrow) == nullptr);
    CHECK(::operator new(huge, std::align_val_t(64), std::nothrow) == nullptr);
    CHECK(::operator new[](huge, std::align_val_t(64), std::nothrow) == nullptr);
    volatile std::size_t odd = 48;
    CHECK(throws_bad_alloc([&] { (void)::operator new(8, std::align_val_t(odd)); }));
    CHECK(::operator new(8, std::align_val_t(odd), std::nothrow) == nullptr);

    // A handler that gives up after three calls.
    auto gives_up = [] {
        if (++calls == 3)
            std::set_new_handler(nullptr);
    };
    calls = 0;
    std::set_new_handler(gives_up);
    CHECK(throws_bad_alloc([&] { (void)::operator new(huge); }) && calls == 3);
    calls = 0;
    std::set_new_handler(gives_up);
    CHECK(::operator new[](huge, std::nothrow) == nullptr && calls == 3);
    calls = 0;
    std::set_new_handler(gives_up);
    CHECK(throws_bad_alloc([&] { (void)::operator new[](huge, std::align_val_t(128)); }) && calls == 3);

    // A handler that throws: through the throwing form, and not out of the other.
    std::set_new_handler([] { throw std::bad_alloc(); });
    for (int i = 0; i < 1000; i++) {
        CHECK(throws_bad_alloc([&] { (void)::operator new(huge); }));
        CHECK(::operator new(huge, std::nothrow) == nullptr);
        CHECK(::operator new(huge, std::align_val_t(64), std::nothrow) == nullptr);
    }
    std::set_new_handler([] { throw 7; });
    try {
        (void)::operator new(huge);
        CHECK(!"an int is thrown");
    } catch (int number) {
        CHECK(number == 7);
    }
    if (failures == 0)
        std::printf("%d checks, all right\n", checks);
    return failures != 0;
}
