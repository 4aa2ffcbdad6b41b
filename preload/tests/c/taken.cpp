// A program with fixed addresses (-no-pie) that takes the addresses of operators, and replaces none
// or, with REPLACES, one: an address that is taken is not a replacement. With an argument it does one
// thing wrong.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#ifdef REPLACES
static long calls;
void operator delete(void *object) noexcept {
    calls++;
    std::free(object);
}
void *operator new(std::size_t size) { return std::malloc(size); }
#endif

// As constants the linker makes them addresses in the program.
static void *(*volatile take_new)(std::size_t) = ::operator new;
static void *(*volatile take_array)(std::size_t) = ::operator new[];
static void (*volatile give)(void *) = ::operator delete;
static void (*volatile give_array)(void *) = ::operator delete[];
static void *(*volatile take_aligned)(std::size_t, std::align_val_t) = ::operator new;
static void (*volatile give_aligned)(void *, std::align_val_t) = ::operator delete;

int main(int, char **arguments) {
    auto align = std::align_val_t(64);
    const char *wrong = arguments[1] ? arguments[1] : "";
    if (!std::strcmp(wrong, "size")) ::operator delete(::operator new(240), std::size_t(40));
    if (!std::strcmp(wrong, "array")) ::operator delete[](::operator new[](240), std::size_t(40));
    if (!std::strcmp(wrong, "aligned"))
        ::operator delete(::operator new(240, align), std::size_t(40), align);
    if (*wrong) return 0;
    for (int n = 1; n < 1000; n++) {
        give(take_new(n));
        give_array(take_array(n));
        give_aligned(take_aligned(n, align), align);
        ::operator delete(::operator new(n), std::size_t(n));
        ::operator delete[](::operator new[](n), std::size_t(n));
        ::operator delete[](::operator new[](n));
        ::operator delete[](::operator new[](n, std::nothrow), std::nothrow);
        ::operator delete[](::operator new[](n, align), align);
        ::operator delete[](::operator new[](n, align, std::nothrow), align, std::nothrow);
        ::operator delete(::operator new(n, align), std::size_t(n), align);
    }
    std::shared_ptr<void> buffer(::operator new(64), static_cast<void (*)(void *)>(::operator delete));
#ifdef REPLACES
    if (calls != 6 * 999) return std::printf("%ld calls\n", calls), 1;
#endif
    std::puts("all right");
}
