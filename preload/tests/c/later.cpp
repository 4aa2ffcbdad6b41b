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

// 0, or the number of the case that went wrong.
extern "C" int attempts() {
    for (int i = 0; i < 3; ++i) {
        try {
            sink = ::operator new(too_much);
            return 1;
        } catch (const std::bad_alloc &) {
        }
        try {
            sink = ::operator new[](too_much, std::align_val_t(64));
            return 2;
        } catch (const std::bad_alloc &) {
        }
        if (::operator new(too_much, std::nothrow))
            return 3;
    }
    std::set_new_handler(throwing);
    try {
        sink = ::operator new(too_much);
        return 4;
    } catch (const std::bad_alloc &) {
    }
    if (::operator new[](too_much, std::nothrow) || asked != 2)
        return 5;
    std::set_new_handler(giving_up);
    try {
        sink = ::operator new(too_much);
        return 6;
    } catch (const std::bad_alloc &) {
    }
    return asked == 3 ? 0 : 7;
}
