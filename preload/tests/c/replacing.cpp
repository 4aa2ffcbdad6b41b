// A program that replaces two forms of operator new and delete, or those and their aligned ones: the
// others are made of them ([new.delete]). The program's objects begin behind a header.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

static long live, made, failures;
static bool refuse;

#define CHECK(condition)                                           \
    do {                                                           \
        if (!(condition)) {                                        \
            failures++;                                            \
            std::printf("line %d: %s\n", __LINE__, #condition);    \
        }                                                          \
    } while (0)

static void *begin(std::size_t size, std::size_t header) {
    if (refuse) throw std::bad_alloc();
    char *whole = static_cast<char *>(std::aligned_alloc(header, (size / header + 2) * header));
    if (!whole) throw std::bad_alloc();
    std::memcpy(whole, "replaced", 8);
    live++;
    made++;
    return whole + header;
}

static void end(void *object, std::size_t header) {
    if (!object) return;
    char *whole = static_cast<char *>(object) - header;
    CHECK(std::memcmp(whole, "replaced", 8) == 0);
    live--;
    std::free(whole);
}

void *operator new(std::size_t size) { return begin(size, 16); }
void operator delete(void *object) noexcept { end(object, 16); }
#ifdef ALIGNED
void *operator new(std::size_t size, std::align_val_t) { return begin(size, 256); }
void operator delete(void *object, std::align_val_t) noexcept { end(object, 256); }
#endif

template <class F> static bool throws(F f) {
    try {
        f();
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

int main() {
    auto none = std::nothrow;
    for (std::size_t n = 1; n < 5000; n += 7) {
        ::operator delete(::operator new(n));
        ::operator delete(::operator new(n), n);
        ::operator delete(::operator new(n, none), none);
        ::operator delete[](::operator new[](n));
        ::operator delete[](::operator new[](n), n);
        ::operator delete[](::operator new[](n, none), none);
        CHECK(live == 0);
    }
    CHECK(made == 6 * 715);
    auto align = std::align_val_t(256);
    for (std::size_t n = 1; n < 5000; n += 7) {
        ::operator delete(::operator new(n, align), align);
        ::operator delete(::operator new(n, align), n, align);
        ::operator delete(::operator new(n, align, none), align, none);
        ::operator delete[](::operator new[](n, align), align);
        ::operator delete[](::operator new[](n, align), n, align);
        ::operator delete[](::operator new[](n, align, none), align, none);
        CHECK(live == 0);
    }
#ifdef ALIGNED
    CHECK(made == 12 * 715);
#else
    CHECK(made == 6 * 715);
#endif
    {
        std::vector<int> numbers;
        for (int i = 0; i < 10000; i++) numbers.push_back(i);
        CHECK(live == 1);
    }
    ::operator delete(nullptr, std::size_t(8));
    ::operator delete[](nullptr);
    refuse = true;
    CHECK(throws([] { ::operator new(8); }));
    CHECK(throws([] { ::operator new[](8); }));
    CHECK(!::operator new(8, none));
    CHECK(!::operator new[](8, none));
#ifdef ALIGNED
    CHECK(throws([=] { ::operator new[](8, align); }));
    CHECK(!::operator new(8, align, none));
    CHECK(!::operator new[](8, align, none));
#endif
    CHECK(live == 0);
    std::puts(failures ? "failed" : "all right");
    return failures != 0;
}
