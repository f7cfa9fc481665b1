# cython: language_level=3
"""The near part of one side of a book as an array with a slot for every tick.

Most changes of a book are near its best price. There a slot is found by arithmetic, where a sorted array is
searched and moved. Slots count ticks in the side's own direction, the best price last, as ``_book`` sorts
them. The tick is learned from the prices of a snapshot: it is not the venue's rule but what makes every
price a slot's, and a price that is none's ends the window until it is learned anew.
"""

from libc.math cimport fabs
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memmove, memset

cdef extern from * nogil:
    """
    #if defined(_MSC_VER)
    #include <intrin.h>
    static __inline int citadel_last_bit(unsigned long long word) {
        unsigned long at; _BitScanReverse64(&at, word); return (int)at;
    }
    static __inline int citadel_first_bit(unsigned long long word) {
        unsigned long at; _BitScanForward64(&at, word); return (int)at;
    }
    #else
    static inline int citadel_last_bit(unsigned long long word) { return 63 - __builtin_clzll(word); }
    static inline int citadel_first_bit(unsigned long long word) { return __builtin_ctzll(word); }
    #endif
    """
    int citadel_last_bit(uint64_t word)
    int citadel_first_bit(uint64_t word)

cdef enum:
    FEWEST = 1024  # slots of a window: a power of two
    MOST = 16384
    SUMMARIES = 4  # numbers with a bit for each word of 64 slots


cdef struct Window:
    bint open
    int top  # slot of the best price, -1 while there is none
    int count
    int slots  # how many there are
    double *sizes  # 0: no level
    uint64_t *words  # which slots have a level; behind the sizes
    double step  # a tick in units of the last decimal place
    double tens  # ten to the power of the places: price = ticks * step / tens
    double scale  # tens / step
    double most  # keys from here on are no slot's: their ticks would not be exact
    int64_t base  # ticks of the first slot, a multiple of 64
    uint64_t summary[SUMMARIES]  # which words have one


cdef inline bint ticks_of(const Window *window, double key, int64_t *ticks) noexcept nogil:
    """Which tick a key is; False when it is none."""
    if not fabs(key) < window.most:
        return False
    ticks[0] = <int64_t>(key * window.scale + (0.5 if key > 0.0 else -0.5))
    return <double>ticks[0] * window.step / window.tens == key


cdef inline double key_at(const Window *window, int slot) noexcept nogil:
    return <double>(window.base + slot) * window.step / window.tens


cdef inline int slot_below(const Window *window, int slot) noexcept nogil:
    """The best slot with a level that is worse than ``slot``; -1 when there is none."""
    cdef int word, group
    cdef uint64_t bits
    if slot <= 0:
        return -1
    word = (slot - 1) >> 6
    bits = window.words[word] & (<uint64_t>-1 >> (63 - ((slot - 1) & 63)))
    if bits == 0:
        group = word >> 6
        bits = window.summary[group] & ((<uint64_t>1 << (word & 63)) - 1)
        while bits == 0:
            if group == 0:
                return -1
            group -= 1
            bits = window.summary[group]
        word = (group << 6) + citadel_last_bit(bits)
        bits = window.words[word]
    return (word << 6) + citadel_last_bit(bits)


cdef inline int lowest_slot(const Window *window) noexcept nogil:
    """The worst slot with a level; there must be one."""
    cdef int group = 0, word
    while window.summary[group] == 0:
        group += 1
    word = (group << 6) + citadel_first_bit(window.summary[group])
    return (word << 6) + citadel_first_bit(window.words[word])


cdef inline void set_slot(Window *window, int slot, double size) noexcept nogil:
    """One level to this size; 0 deletes it.

    Whether there was one is in the bits, which are cached, and is used without a branch: nobody can foresee it.
    """
    cdef int word = slot >> 6, at = slot & 63
    cdef uint64_t before = window.words[word], has = size != 0.0
    cdef uint64_t after = (before & ~(<uint64_t>1 << at)) | (has << at)
    window.sizes[slot] = size
    window.words[word] = after
    window.count += <int>has - <int>((before >> at) & 1)
    if (before == 0) != (after == 0):
        window.summary[word >> 6] ^= <uint64_t>1 << (word & 63)
    if slot >= window.top:
        if has:
            window.top = slot
        elif slot == window.top:
            window.top = slot_below(window, slot)


cdef inline void empty(Window *window) noexcept nogil:
    memset(window.sizes, 0, window.slots * sizeof(double))
    memset(window.words, 0, (window.slots >> 6) * sizeof(uint64_t))
    memset(window.summary, 0, SUMMARIES * sizeof(uint64_t))
    window.count = 0
    window.top = -1


cdef inline void slide(Window *window, int64_t base) noexcept nogil:
    """Let the window begin at ``base``. What falls out of it must have been taken out before."""
    cdef int64_t by = base - window.base, words = by >> 6, count = window.slots >> 6
    cdef int i
    window.base = base
    if window.count == 0 or by == 0:
        return
    if by > 0:
        memmove(window.sizes, window.sizes + by, (window.slots - by) * sizeof(double))
        memset(window.sizes + window.slots - by, 0, by * sizeof(double))
        memmove(window.words, window.words + words, (count - words) * sizeof(uint64_t))
        memset(window.words + count - words, 0, words * sizeof(uint64_t))
    else:
        by = -by
        words = -words
        memmove(window.sizes + by, window.sizes, (window.slots - by) * sizeof(double))
        memset(window.sizes, 0, by * sizeof(double))
        memmove(window.words + words, window.words, (count - words) * sizeof(uint64_t))
        memset(window.words, 0, words * sizeof(uint64_t))
        by = -by
    window.top -= <int>by
    memset(window.summary, 0, SUMMARIES * sizeof(uint64_t))
    for i in range(count):
        if window.words[i]:
            window.summary[i >> 6] |= <uint64_t>1 << (i & 63)
