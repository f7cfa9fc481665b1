# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=False, embedsignature=False
"""Levels to a book: the part of a feed that is run for every change of a price level.

The compiled twin of ``core.marketdata.book``; the same tests run against both, and both give the same results to the
last bit. ``core.marketdata.kernel`` chooses.

A side of a book is a sorted array with its best level last, so that what happens near the best
price, which is nearly everything, moves few levels. Prices of asks are kept negated, so that both
sides are one piece of code. Digits, where a venue's checksum is over them, lie in an array beside.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.math cimport fabs
from libc.string cimport memcpy, memmove

from citadel_micro.core.marketdata._levels cimport DIGITS, Levels, Text, _set_text

from zlib import crc32

VERSION = 1
"""Raised with every change of what this module offers; ``core.marketdata.kernel`` refuses another."""

cdef enum:
    NEAR = 32  # levels next to the best that are searched first


cdef struct Side:
    double sign  # 1 for bids, -1 for asks: key = sign * price, and the best key is the last
    double *keys
    double *sizes
    Text *texts
    Py_ssize_t low  # the levels are [low, high)
    Py_ssize_t high
    Py_ssize_t room


cdef void _start(Side *side, double sign) noexcept:
    side.sign = sign
    side.keys = NULL
    side.sizes = NULL
    side.texts = NULL
    side.low = side.high = side.room = 0


cdef void _free(Side *side) noexcept:
    PyMem_Free(side.keys)
    PyMem_Free(side.sizes)
    PyMem_Free(side.texts)


cdef inline Py_ssize_t _find(const Side *side, double key) noexcept nogil:
    """Where the first level that is not worse than ``key`` is, or would be."""
    cdef const double *base
    cdef Py_ssize_t left = side.high - side.low, half, near = NEAR
    if left == 0:
        return side.low
    # Most changes are near the best price: widen from there, and leave the rest of it uncached.
    while near < left and key <= side.keys[side.high - near]:
        near *= 4
    if near < left:
        left = near
    base = side.keys + side.high - left
    while left > 1:
        half = left >> 1
        base += half if base[half - 1] < key else 0
        left -= half
    return (base - side.keys) + (1 if base[0] < key else 0)


cdef inline void _shift(Side *side, Py_ssize_t to, Py_ssize_t at, Py_ssize_t count) noexcept nogil:
    """Move levels within the arrays."""
    if count > 0:
        memmove(side.keys + to, side.keys + at, count * sizeof(double))
        memmove(side.sizes + to, side.sizes + at, count * sizeof(double))
        if side.texts != NULL:
            memmove(side.texts + to, side.texts + at, count * sizeof(Text))


cdef int _make_room(Side *side, bint texts) except -1:
    """Space behind the best level."""
    cdef Py_ssize_t count = side.high - side.low, room
    cdef void *more
    if side.low > 64 and side.low > side.room // 2:
        _shift(side, 0, side.low, count)
        side.low = 0
        side.high = count
        return 0
    room = 64 if side.room == 0 else 2 * side.room
    more = PyMem_Realloc(side.keys, room * sizeof(double))
    if more == NULL:
        raise MemoryError
    side.keys = <double *>more
    more = PyMem_Realloc(side.sizes, room * sizeof(double))
    if more == NULL:
        raise MemoryError
    side.sizes = <double *>more
    if texts:
        more = PyMem_Realloc(side.texts, room * sizeof(Text))
        if more == NULL:
            raise MemoryError
        side.texts = <Text *>more
    side.room = room
    return 0


cdef int _set(Side *side, double price, double size, const Text *text, bint texts) except -1:
    """One level to this size; 0 deletes it."""
    cdef double key = side.sign * price
    cdef Py_ssize_t at = _find(side, key)
    if at < side.high and side.keys[at] == key:
        if size == 0.0:
            if at - side.low < side.high - at:
                _shift(side, side.low + 1, side.low, at - side.low)
                side.low += 1
            else:
                _shift(side, at, at + 1, side.high - at - 1)
                side.high -= 1
            return 0
    else:
        if size == 0.0:
            return 0
        if side.low > 0 and at - side.low < side.high - at:
            _shift(side, side.low - 1, side.low, at - side.low)
            side.low -= 1
            at -= 1
        else:
            if side.high == side.room:
                at -= side.low
                _make_room(side, texts)
                at += side.low
            _shift(side, at + 1, at, side.high - at)
            side.high += 1
        side.keys[at] = key
    side.sizes[at] = size
    if texts:
        if text == NULL:
            side.texts[at].size_length = 0
        else:
            side.texts[at] = text[0]
    return 0


cdef int _apply(Side *side, levels, texts, bint keep) except -1:
    cdef Py_ssize_t i
    cdef Levels read
    cdef Text text
    if type(levels) is Levels:
        read = <Levels>levels
        # Digits that were read with the levels go with them, unless the update leaves them out.
        if keep and texts is not None and read.texts != NULL:
            for i in range(read.count):
                _set(side, read.values[2 * i], read.values[2 * i + 1], &read.texts[i], True)
        else:
            for i in range(read.count):
                _set(side, read.values[2 * i], read.values[2 * i + 1], NULL, keep)
        return 0
    if keep and texts is not None:
        for (price, size), (price_text, size_text) in zip(levels, texts, strict=True):
            _set_text(&text, price_text, size_text)
            _set(side, price, size, &text, True)
    else:
        for price, size in levels:
            _set(side, price, size, NULL, keep)
    return 0


cdef inline Py_ssize_t _put_bare(char *to, const char *digits, Py_ssize_t length) noexcept nogil:
    """Digits without their point and leading zeros."""
    cdef Py_ssize_t i, n = 0
    for i in range(length):
        if digits[i] == 46 or (n == 0 and digits[i] == 48):
            continue
        to[n] = digits[i]
        n += 1
    return n


cdef class Book:
    """Price levels of one instrument: the compiled twin of ``core.marketdata.book.Book``, see there."""

    cdef Side _bids
    cdef Side _asks
    cdef readonly bint keeps_text

    def __cinit__(self, *args, **kwargs):
        _start(&self._bids, 1.0)
        _start(&self._asks, -1.0)

    def __init__(self, *, bint keep_text=False, int depth=0):
        self.keeps_text = keep_text

    def __dealloc__(self):
        _free(&self._bids)
        _free(&self._asks)

    cdef Side *_side(self, side):
        return &self._bids if side == "buy" else &self._asks

    def clear(self):
        self._bids.low = self._bids.high = 0
        self._asks.low = self._asks.high = 0

    def replace(self, bids, asks, texts=None):
        self.clear()
        self.apply(bids, asks, texts)

    def apply(self, bids, asks, texts=None):
        if texts is None:
            _apply(&self._bids, bids, None, self.keeps_text)
            _apply(&self._asks, asks, None, self.keeps_text)
        else:
            _apply(&self._bids, bids, texts[0], self.keeps_text)
            _apply(&self._asks, asks, texts[1], self.keeps_text)

    def truncate(self, Py_ssize_t depth):
        if self._bids.high - self._bids.low > depth:
            self._bids.low = self._bids.high - depth
        if self._asks.high - self._asks.low > depth:
            self._asks.low = self._asks.high - depth

    @property
    def bid_count(self):
        return self._bids.high - self._bids.low

    @property
    def ask_count(self):
        return self._asks.high - self._asks.low

    @property
    def crossed(self):
        cdef Py_ssize_t bid = self._bids.high, ask = self._asks.high
        if bid == self._bids.low or ask == self._asks.low:
            return False
        return self._bids.keys[bid - 1] >= -self._asks.keys[ask - 1]

    def best(self):
        cdef Py_ssize_t bid = self._bids.high - 1, ask = self._asks.high - 1
        if bid < self._bids.low or ask < self._asks.low:
            return None
        return (
            self._bids.keys[bid], self._bids.sizes[bid],
            -self._asks.keys[ask], self._asks.sizes[ask],
        )

    def best_bid(self):
        cdef Py_ssize_t at = self._bids.high - 1
        if at < self._bids.low:
            return None
        return (self._bids.keys[at], self._bids.sizes[at])

    def best_ask(self):
        cdef Py_ssize_t at = self._asks.high - 1
        if at < self._asks.low:
            return None
        return (-self._asks.keys[at], self._asks.sizes[at])

    def top(self, Py_ssize_t count):
        return self._best(&self._bids, count), self._best(&self._asks, count)

    cdef list _best(self, Side *side, Py_ssize_t count):
        cdef Py_ssize_t i
        cdef list found = []
        for i in range(side.high - 1, max(side.low, side.high - count) - 1, -1):
            found.append((side.sign * side.keys[i], side.sizes[i]))
        return found

    def sizes(self, side):
        cdef Side *one = self._side(side)
        cdef Py_ssize_t i
        return {one.sign * one.keys[i]: one.sizes[i] for i in range(one.low, one.high)}

    def size_at(self, side, double price):
        cdef Side *one = self._side(side)
        cdef double key = one.sign * price
        cdef Py_ssize_t at = _find(one, key)
        return one.sizes[at] if at < one.high and one.keys[at] == key else 0.0

    def worse(self, side, double price):
        cdef Side *one = self._side(side)
        cdef Py_ssize_t at = _find(one, one.sign * price) - 1
        if at < one.low:
            return None
        return (one.sign * one.keys[at], one.sizes[at])

    def displayed(self, side, double mid, double reach, double enough):
        cdef Side *one = self._side(side)
        cdef Py_ssize_t i
        cdef double total = 0.0
        for i in range(one.high - 1, one.low - 1, -1):
            if fabs(one.sign * one.keys[i] - mid) > reach:
                break
            total += one.sizes[i]
            if total >= enough:
                break
        return total

    def checksum(self, str style, Py_ssize_t count):
        cdef bint kraken = style == "kraken"
        if not self.keeps_text or count < 1:
            return None
        cdef Py_ssize_t bids = min(count, self._bids.high - self._bids.low)
        cdef Py_ssize_t asks = min(count, self._asks.high - self._asks.low)
        cdef Py_ssize_t i, n = 0
        cdef char *text = <char *>PyMem_Malloc((bids + asks) * (2 * DIGITS + 2) + 1)
        if text == NULL:
            raise MemoryError
        try:
            if kraken:
                for i in range(asks):
                    if not _put_digits(text, &n, &self._asks, i, True):
                        return None
                for i in range(bids):
                    if not _put_digits(text, &n, &self._bids, i, True):
                        return None
            else:
                for i in range(max(bids, asks)):
                    if i < bids and not _put_digits(text, &n, &self._bids, i, False):
                        return None
                    if i < asks and not _put_digits(text, &n, &self._asks, i, False):
                        return None
                if n:
                    n -= 1  # the last colon
            return crc32(PyBytes_FromStringAndSize(text, n))
        finally:
            PyMem_Free(text)


cdef bint _put_digits(char *to, Py_ssize_t *n, Side *side, Py_ssize_t number, bint kraken) noexcept:
    """The digits of the level of this number, 0 the best; False when they are not known."""
    cdef const Text *text = &side.texts[side.high - 1 - number]
    if text.size_length == 0:
        return False
    if kraken:
        n[0] += _put_bare(to + n[0], text.price, text.price_length)
        n[0] += _put_bare(to + n[0], text.size, text.size_length)
        return True
    memcpy(to + n[0], text.price, text.price_length)
    n[0] += text.price_length
    to[n[0]] = 58
    n[0] += 1
    memcpy(to + n[0], text.size, text.size_length)
    n[0] += text.size_length
    to[n[0]] = 58
    n[0] += 1
    return True
