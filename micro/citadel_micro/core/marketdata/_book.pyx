# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=False, embedsignature=False
"""Levels to a book: the part of a feed that is run for every change of a price level.

The compiled twin of ``core.marketdata.book``; the same tests run against both, and both give the same results to the
last bit. ``core.marketdata.kernel`` chooses.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.math cimport INFINITY, NAN, fabs
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memmove

from citadel_micro.core.marketdata._levels cimport DIGITS, Levels, Text, _set_text, Places, _places_of
from citadel_micro.core.marketdata._window cimport (
    FEWEST,
    MOST,
    Window,
    citadel_first_bit,
    empty,
    key_at,
    lowest_slot,
    set_slot,
    slide,
    slot_below,
    ticks_of,
)

VERSION = 15
"""Raised with every change of what this module offers; ``core.marketdata.kernel`` refuses another."""

include "_digits.pxi"
include "_side.pxi"
include "_sums.pxi"


cdef class Book:
    """Price levels of one instrument: the compiled twin of ``core.marketdata.book.Book``, see there."""

    cdef readonly bint keeps_text
    cdef Side _bids
    cdef Side _asks

    def __cinit__(self, *args, **kwargs):
        _start(&self._bids, 1.0)
        _start(&self._asks, -1.0)

    def __init__(self, *, bint keep_text=False, int depth=0):
        self.keeps_text = keep_text

    def __dealloc__(self):
        _free(&self._bids)
        _free(&self._asks)

    def __sizeof__(self):
        """Bytes of it and of all its levels."""
        return Book.__basicsize__ + _bytes(&self._bids) + _bytes(&self._asks)

    cdef Side *_side(self, side):
        return &self._bids if side == "buy" else &self._asks

    def clear(self):
        _clear(&self._bids)
        _clear(&self._asks)

    def replace(self, bids, asks, texts=None):
        self.clear()
        self.apply(bids, asks, texts)

    def apply(self, bids, asks, texts=None):
        self._update(bids, asks, texts)

    cdef int _update(self, object bids, object asks, object texts) except -1:
        if texts is None:
            _apply(&self._bids, bids, None, self.keeps_text)
            _apply(&self._asks, asks, None, self.keeps_text)
        else:
            _apply(&self._bids, bids, texts[0], self.keeps_text)
            _apply(&self._asks, asks, texts[1], self.keeps_text)
        return 0

    def truncate(self, Py_ssize_t depth):
        _truncate(&self._bids, depth)
        _truncate(&self._asks, depth)

    @property
    def bid_count(self):
        return _count(&self._bids)

    @property
    def ask_count(self):
        return _count(&self._asks)

    @property
    def crossed(self):
        cdef Level bid, ask
        if not _first(&self._bids, &bid) or not _first(&self._asks, &ask):
            return False
        return bid.key >= -ask.key

    def best(self):
        cdef Level bid, ask
        if not _first(&self._bids, &bid) or not _first(&self._asks, &ask):
            return None
        return (bid.key, bid.size, -ask.key, ask.size)

    def best_bid(self):
        cdef Level bid
        if not _first(&self._bids, &bid):
            return None
        return (bid.key, bid.size)

    def best_ask(self):
        cdef Level ask
        if not _first(&self._asks, &ask):
            return None
        return (-ask.key, ask.size)

    def top(self, Py_ssize_t count):
        return self._best(&self._bids, count), self._best(&self._asks, count)

    cdef list _best(self, Side *side, Py_ssize_t count):
        cdef Level level
        cdef list found = []
        cdef bint more = _first(side, &level)
        while more and count > 0:
            found.append((side.sign * level.key, level.size))
            count -= 1
            more = _next(side, &level)
        return found

    def packed(self, Py_ssize_t count, quote=None):
        cdef Level bid, ask
        cdef double bid_size = 0.0, ask_size = 0.0
        bid.key = ask.key = INFINITY
        bid.size = ask.size = 0.0
        if quote is not None:
            bid.key, bid.size, ask.key, ask.size = quote
            ask.key = -ask.key
        bids = _packed(&self._bids, count, bid, &bid_size)
        asks = _packed(&self._asks, count, ask, &ask_size)
        return bids, asks, bid_size, ask_size

    def sizes(self, side):
        cdef Side *one = self._side(side)
        cdef Level level
        cdef dict found = {}
        cdef bint more = _first(one, &level)
        while more:
            found[one.sign * level.key] = level.size
            more = _next(one, &level)
        return found

    def size_at(self, side, double price):
        cdef Side *one = self._side(side)
        return _size_at(one, one.sign * price)

    def worse(self, side, double price):
        cdef Side *one = self._side(side)
        cdef Level level
        if not _worse(one, one.sign * price, &level):
            return None
        return (one.sign * level.key, level.size)

    def displayed(self, side, double mid, double reach, double enough):
        cdef Side *one = self._side(side)
        cdef Level level
        cdef double total = 0.0
        cdef bint more = _first(one, &level)
        while more and not fabs(one.sign * level.key - mid) > reach:
            total += level.size
            if total >= enough:
                break
            more = _next(one, &level)
        return total

    def checksum(self, str style, Py_ssize_t count):
        cdef int64_t found = self._sum(style == "kraken", count)
        return None if found < 0 else found

    cdef int64_t _sum(self, bint kraken, Py_ssize_t count) except? -1:
        """The checksum; -1 where digits are missing."""
        if not self.keeps_text or count < 1:
            return -1
        return _kraken_sum(&self._bids, &self._asks, count) if kraken else _colon_sum(&self._bids, &self._asks, count)


cdef bytes _packed(Side *side, Py_ssize_t count, Level quote, double *total):
    """The best levels as little-endian float64, after a quote unless that is infinite; their sizes are added up."""
    cdef Level level
    cdef bint more = _first(side, &level)
    cdef Py_ssize_t size = 0
    cdef double *flat
    count = min(count, _count(side) + 1)
    if count <= 0:
        return b""
    flat = <double *>PyMem_Malloc(count * 2 * sizeof(double))
    if flat == NULL:
        raise MemoryError
    if quote.key != INFINITY:
        flat[0], flat[1] = side.sign * quote.key, quote.size
        size = 1
        total[0] = quote.size
        while more and level.key >= quote.key:
            more = _next(side, &level)
    while more and size < count:
        flat[2 * size], flat[2 * size + 1] = side.sign * level.key, level.size
        total[0] += level.size
        size += 1
        more = _next(side, &level)
    try:
        return PyBytes_FromStringAndSize(<char *>flat, size * 2 * sizeof(double))
    finally:
        PyMem_Free(flat)


def crosses(bids, asks):
    """See ``core.marketdata.snapshot_buffer``."""
    if not len(bids) or not len(asks):
        return False
    return _highest(bids, 1.0) >= -_highest(asks, -1.0)


cdef double _highest(levels, double sign) except? -1.0:
    """The highest of some levels' prices, times the sign; there must be one."""
    cdef Py_ssize_t i
    cdef double found
    if type(levels) is not Levels:
        return max(levels)[0] if sign > 0.0 else -min(levels)[0]
    found = sign * (<Levels>levels).values[0]
    for i in range(1, (<Levels>levels).count):
        found = max(found, sign * (<Levels>levels).values[2 * i])
    return found


include "_live.pxi"
include "_passing.pxi"
