// C++ in a plug-in of a program without: what its `new` does when there is no memory.
#include <cstdlib>
#include <new>

static const std::size_t too_much = std::size_t(1) << 60;
static int asked;

// Keeps what is not used from being left out.
static void *volatile sink;

static void throwing() {
    ++asked;
    throw std::bad_alloc();
}

static void giving_up() {
    ++asked;
    std::set_new_handler(nullptr);
}

static bool throws() {
    try {
        sink = ::operator new(too_much);
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

static bool throws_aligned() {
    try {
        sink = ::operator new[](too_much, std::align_val_t(64));
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

// 0, or the number of the case that went wrong.
extern "C" int attempts() {
    for (int i = 0; i < 3; ++i) {
        if (!throws())
            return 1;
        if (!throws_aligned())
            return 2;
        if (::operator new(too_much, std::nothrow))
            return 3;
    }
    std::set_new_handler(throwing);
    if (!throws())
        return 4;
    if (::operator new[](too_much, std::nothrow) || asked != 2)
        return 5;
    std::set_new_handler(giving_up);
    if (!throws())
        return 6;
    return asked == 3 ? 0 : 7;
}
