/* A floor for books of Binance USD-M: from the bytes of frames to integer prices and sizes, and with a book to the
 * best bid and ask, without one Python object. Nothing is checked but the sequence numbers; a price has a slot of its
 * own in an array as long as all prices there are.
 *
 * cc -O2 -shared -fPIC -o floor_scan.so floor_scan.c
 */
#define _GNU_SOURCE /* memmem */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS (1 << 21)
#define STEP 10 /* hundredths in a tick */

struct floor {
    uint32_t *sizes[2]; /* of bids and asks, by the price in ticks */
    long best[2];
    int64_t last; /* update number */
    int64_t gaps;
    int64_t sum; /* of all that was read, so that no compiler leaves the reading out */
};

struct floor *floor_new(void) {
    struct floor *f = calloc(1, sizeof *f);
    f->sizes[0] = calloc(SLOTS, sizeof(uint32_t));
    f->sizes[1] = calloc(SLOTS, sizeof(uint32_t));
    f->best[1] = SLOTS - 1;
    return f;
}

void floor_free(struct floor *f) {
    free(f->sizes[0]);
    free(f->sizes[1]);
    free(f);
}

static const char *after(const char *at, const char *end, const char *key) {
    const char *found = memmem(at, (size_t)(end - at), key, strlen(key));
    return found ? found + strlen(key) : NULL;
}

/* Digits without their point: "58710.20" is 5871020. */
static const char *number(const char *at, int64_t *value) {
    int64_t sum = 0;
    for (;; at++) {
        unsigned digit = (unsigned)(*at - '0');
        if (digit < 10)
            sum = sum * 10 + digit;
        else if (*at != '.')
            break;
    }
    *value = sum;
    return at;
}

static void put(struct floor *f, int side, int64_t price, int64_t size) {
    long slot = price / STEP;
    if (slot >= SLOTS)
        return;
    uint32_t *sizes = f->sizes[side];
    sizes[slot] = (uint32_t)size;
    long best = f->best[side];
    if (size) {
        if (side ? slot < best : slot > best)
            f->best[side] = slot;
    } else if (slot == best) {
        if (side)
            while (best < SLOTS - 1 && !sizes[best])
                best++;
        else
            while (best && !sizes[best])
                best--;
        f->best[side] = best;
    }
}

/* Levels from behind "b":[ to their end. */
static const char *levels(struct floor *f, const char *at, int side, int keep) {
    int64_t price, size;
    while (*at == '[' || *at == ',') {
        at = number(at + (*at == ',') + 2, &price);
        at = number(at + 3, &size);
        at += 2; /* "] */
        f->sum += price + size;
        if (keep)
            put(f, side, price, size);
    }
    return at;
}

static const char *const QUOTE[] = {"\"b\":\"", "\"B\":\"", "\"a\":\"", "\"A\":\"", NULL};
static const char *const TRADE[] = {"\"p\":\"", "\"q\":\"", NULL};

static void values(struct floor *f, const char *at, const char *end, const char *const *keys) {
    for (; *keys; keys++) {
        int64_t value;
        at = after(at, end, *keys);
        if (!at)
            return;
        at = number(at, &value);
        f->sum += value;
    }
}

static void depth(struct floor *f, const char *at, const char *end, int keep) {
    int64_t last, previous;
    at = after(at, end, "\"u\":");
    if (!at)
        return;
    at = number(at, &last);
    at = after(at, end, "\"pu\":");
    if (!at)
        return;
    at = number(at, &previous);
    if (last < f->last)
        return;
    f->gaps += previous != f->last;
    f->last = last;
    at = after(at, end, "\"b\":[");
    if (!at)
        return;
    at = levels(f, at, 0, keep);
    at = after(at, end, "\"a\":[");
    if (at)
        levels(f, at, 1, keep);
}

void floor_frames(struct floor *f, const char **frames, const int64_t *lengths, long count, int keep) {
    for (long n = 0; n < count; n++) {
        const char *at = frames[n], *end = at + lengths[n];
        at = after(at, end, "\"e\":\"");
        if (!at)
            continue;
        switch (*at) {
        case 'd':
            depth(f, at, end, keep);
            break;
        case 'b':
            values(f, at, end, QUOTE);
            break;
        default:
            values(f, at, end, TRADE);
        }
    }
}

/* The answer of the venue's HTTP interface. */
void floor_snapshot(struct floor *f, const char *at, int64_t length) {
    const char *end = at + length;
    for (int side = 0; side < 2; side++)
        memset(f->sizes[side], 0, SLOTS * sizeof(uint32_t));
    f->best[0] = 0;
    f->best[1] = SLOTS - 1;
    at = after(at, end, "\"lastUpdateId\":");
    if (!at)
        return;
    at = number(at, &f->last);
    at = after(at, end, "\"bids\":[");
    if (!at)
        return;
    at = levels(f, at, 0, 1);
    at = after(at, end, "\"asks\":[");
    if (at)
        levels(f, at, 1, 1);
}

double floor_best(const struct floor *f, int side) {
    return (double)f->best[side] * STEP / 100.0;
}
