/* Continued fractions with numbers of any length, each number an object of its own: the pattern of
 * factoring by continued fractions. The expansion of a square root gives the residues q of squares
 * modulo n; those that small primes divide wholly are the relations that factoring needs. Every
 * intermediate result is allocated, used once or twice and freed. */
#include "stress.h"

/* Little-endian digits of 32 bits, no leading zeros. */
typedef struct {
    int length;
    uint32_t digit[];
} Number;

static Number *make(int length) {
    Number *number = malloc(sizeof(Number) + (size_t)length * sizeof(uint32_t));
    if (!number) exit(1);
    number->length = length;
    memset(number->digit, 0, (size_t)length * sizeof(uint32_t));
    return number;
}

static Number *trimmed(Number *number) {
    while (number->length > 0 && number->digit[number->length - 1] == 0) number->length--;
    return number;
}

static Number *of(uint64_t value) {
    Number *number = make(2);
    number->digit[0] = (uint32_t)value;
    number->digit[1] = (uint32_t)(value >> 32);
    return trimmed(number);
}

static int compare(const Number *a, const Number *b) {
    if (a->length != b->length) return a->length < b->length ? -1 : 1;
    for (int i = a->length - 1; i >= 0; i--)
        if (a->digit[i] != b->digit[i]) return a->digit[i] < b->digit[i] ? -1 : 1;
    return 0;
}

static Number *sum(const Number *a, const Number *b) {
    int length = (a->length > b->length ? a->length : b->length) + 1;
    Number *result = make(length);
    uint64_t carry = 0;
    for (int i = 0; i < length; i++) {
        carry += (i < a->length ? a->digit[i] : 0) + (uint64_t)(i < b->length ? b->digit[i] : 0);
        result->digit[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return trimmed(result);
}

/* a - b, which is not negative. */
static Number *difference(const Number *a, const Number *b) {
    Number *result = make(a->length);
    int64_t borrow = 0;
    for (int i = 0; i < a->length; i++) {
        int64_t digit = (int64_t)a->digit[i] - (i < b->length ? b->digit[i] : 0) + borrow;
        result->digit[i] = (uint32_t)digit;
        borrow = digit < 0 ? -1 : 0;
    }
    return trimmed(result);
}

static Number *product(const Number *a, const Number *b) {
    Number *result = make(a->length + b->length);
    for (int i = 0; i < a->length; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < b->length; j++) {
            carry += (uint64_t)a->digit[i] * b->digit[j] + result->digit[i + j];
            result->digit[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        result->digit[i + b->length] = (uint32_t)carry;
    }
    return trimmed(result);
}

static Number *doubled(const Number *a, int bit) {
    Number *twice = sum(a, a);
    if (bit && twice->length == 0) {
        free(twice);
        return of(1);
    }
    if (bit) twice->digit[0] |= 1;
    return twice;
}

/* a / b and, in *rest, what remains; bit by bit, so that many numbers come and go. */
static Number *quotient(const Number *a, const Number *b, Number **rest) {
    Number *result = make(a->length);
    Number *remaining = make(0);
    for (int i = 32 * a->length - 1; i >= 0; i--) {
        Number *next = doubled(remaining, a->digit[i / 32] >> (i % 32) & 1);
        free(remaining);
        remaining = next;
        if (compare(remaining, b) >= 0) {
            next = difference(remaining, b);
            free(remaining);
            remaining = next;
            result->digit[i / 32] |= 1u << (i % 32);
        }
    }
    *rest = remaining;
    return trimmed(result);
}

/* The integer square root, by Newton's method from above. */
static Number *root(const Number *n) {
    Number *guess = sum(n, n);
    for (;;) {
        Number *rest, *ratio = quotient(n, guess, &rest);
        Number *both = sum(guess, ratio), *two = of(2), *unused;
        Number *next = quotient(both, two, &unused);
        int done = compare(next, guess) >= 0;
        free(rest), free(ratio), free(both), free(two), free(unused);
        if (done) {
            free(next);
            return guess;
        }
        free(guess);
        guess = next;
    }
}

/* What is left of n when small primes are divided out: 1 for a relation. */
static int smooth(const Number *n) {
    static const uint64_t primes[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};
    Number *none = of(0), *left = sum(n, none);
    free(none);
    for (size_t i = 0; i < sizeof primes / sizeof *primes && left->length > 0;) {
        Number *prime = of(primes[i]), *rest, *ratio = quotient(left, prime, &rest);
        int divides = rest->length == 0;
        free(prime), free(rest);
        free(divides ? left : ratio);
        if (divides) left = ratio;
        else i++;
    }
    int is_one = left->length == 1 && left->digit[0] == 1;
    free(left);
    return is_one;
}

int main(int argc, char **argv) {
    Number *a = of(4294967291u), *b = of(4294967279u);
    Number *n = product(a, b), *top = root(n);
    /* sqrt(n) = [top; ...]: p is the numerator's part, q the residue of each step. */
    Number *p = of(0), *q = of(1);
    long steps = scaled(argc, argv, 8000), relations = 0;
    for (long step = 0; step < steps; step++) {
        Number *over = sum(top, p), *rest, *term = quotient(over, q, &rest);
        Number *whole = product(term, q), *next_p = difference(whole, p);
        Number *square = product(next_p, next_p), *left = difference(n, square), *unused;
        Number *next_q = quotient(left, q, &unused);
        free(over), free(rest), free(term), free(whole), free(square), free(left), free(unused);
        free(p), free(q);
        p = next_p, q = next_q;
        relations += smooth(q);
    }
    printf("%ld relations in %ld steps\n", relations, steps);
    free(a), free(b), free(n), free(top), free(p), free(q);
    return 0;
}
