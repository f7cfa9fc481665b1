# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=False, embedsignature=False
"""Digits to levels, and levels to a book: the part of a feed that is run for every price level.

The compiled twin of ``core.marketdata.book`` and of the level readers of ``shell.marketdata.levels``; the same tests
run against both, and both give the same results to the last bit. ``core.marketdata.kernel`` chooses.

A side of a book is a sorted array with its best level last, so that what happens near the best
price, which is nearly everything, moves few levels. Prices of asks are kept negated, so that both
sides are one piece of code. Digits, where a venue's checksum is over them, lie in an array beside.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.math cimport fabs
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy, memmove

from zlib import crc32

cdef extern from "Python.h":
    double PyOS_string_to_double(const char *text, char **end, object overflow) except? -1.0

VERSION = 1
"""Raised with every change of what this module offers; ``core.marketdata.kernel`` refuses another."""

cdef enum:
    DIGITS = 31  # most characters of a price or size that goes into a checksum
    NEAR = 32  # levels next to the best that are searched first

cdef double LARGEST = 1e18
cdef double POWERS[23]
POWERS[:] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
]
cdef uint64_t EXACT = 9007199254740992  # 2**53: below it every integer is a float
cdef int MOST_DIGITS = 18  # of an integer that cannot overflow


cdef struct Text:
    unsigned char price_length
    unsigned char size_length  # 0: the digits of this level are not known
    char price[DIGITS]
    char size[DIGITS]


# --- levels --------------------------------------------------------------------------------------


cdef class Levels:
    """(price, size) pairs as they were read: a sequence that equals a list of the same pairs."""

    cdef double *values
    cdef Text *texts
    cdef Py_ssize_t count
    cdef Py_ssize_t room

    def __cinit__(self):
        self.values = NULL
        self.texts = NULL
        self.count = 0
        self.room = 0

    def __dealloc__(self):
        PyMem_Free(self.values)
        PyMem_Free(self.texts)

    def __len__(self):
        return self.count

    def __getitem__(self, at):
        if isinstance(at, slice):
            return self.tolist()[at]
        cdef Py_ssize_t index = at
        if index < 0:
            index += self.count
        if not 0 <= index < self.count:
            raise IndexError("no such level")
        return (self.values[2 * index], self.values[2 * index + 1])

    def __iter__(self):
        return iter(self.tolist())

    def __eq__(self, other):
        if isinstance(other, Levels):
            return self.tolist() == (<Levels>other).tolist()
        if isinstance(other, list):
            return self.tolist() == other
        return NotImplemented

    __hash__ = None

    def __repr__(self):
        return repr(self.tolist())

    def __reduce__(self):
        return _levels, (self.tolist(), self.textlist() if self.texts != NULL else None)

    def tolist(self):
        """The pairs as a list."""
        cdef Py_ssize_t i
        return [(self.values[2 * i], self.values[2 * i + 1]) for i in range(self.count)]

    def textlist(self):
        """The pairs as the venue wrote them; empty where that was not asked for."""
        cdef Py_ssize_t i
        if self.texts == NULL:
            return []
        return [_pair(&self.texts[i]) for i in range(self.count)]

    @property
    def digits(self):
        """The same pairs as text: a sequence of its own."""
        cdef LevelTexts view = LevelTexts.__new__(LevelTexts)
        view.levels = self
        return view


cdef class LevelTexts:
    """The pairs of some ``Levels`` as the venue wrote them."""

    cdef Levels levels

    def __len__(self):
        return self.levels.count if self.levels.texts != NULL else 0

    def __getitem__(self, at):
        return self.tolist()[at]

    def __iter__(self):
        return iter(self.tolist())

    def __eq__(self, other):
        if isinstance(other, LevelTexts):
            return self.tolist() == (<LevelTexts>other).tolist()
        if isinstance(other, list):
            return self.tolist() == other
        return NotImplemented

    __hash__ = None

    def __repr__(self):
        return repr(self.tolist())

    def __reduce__(self):
        return list, (self.tolist(),)

    def tolist(self):
        """The pairs as a list."""
        return self.levels.textlist()


def _levels(pairs, texts):
    """Levels from Python's pairs, for copies."""
    cdef Levels levels = Levels.__new__(Levels)
    cdef Py_ssize_t i
    for i, (price, size) in enumerate(pairs):
        _grow(levels, texts is not None)
        levels.values[2 * i] = price
        levels.values[2 * i + 1] = size
        if texts is not None:
            _set_text(&levels.texts[i], texts[i][0], texts[i][1])
        levels.count += 1
    return levels


cdef object _pair(Text *text):
    return (
        text.price[:text.price_length].decode("ascii"),
        text.size[:text.size_length].decode("ascii"),
    )


cdef int _set_text(Text *text, str price, str size) except -1:
    cdef bytes p = price.encode("ascii"), s = size.encode("ascii")
    if len(p) > DIGITS or len(s) > DIGITS:
        raise ValueError(f"{price} x {size} has more than {DIGITS} digits")
    text.price_length = len(p)
    text.size_length = len(s)
    memcpy(text.price, <char *>p, len(p))
    memcpy(text.size, <char *>s, len(s))
    return 0


cdef int _grow(Levels levels, bint texts) except -1:
    """Room for one more level."""
    if levels.count < levels.room:
        return 0
    cdef Py_ssize_t room = 8 if levels.room == 0 else 2 * levels.room
    cdef double *values = <double *>PyMem_Realloc(levels.values, room * 2 * sizeof(double))
    if values == NULL:
        raise MemoryError
    levels.values = values
    cdef Text *more
    if texts:
        more = <Text *>PyMem_Realloc(levels.texts, room * sizeof(Text))
        if more == NULL:
            raise MemoryError
        levels.texts = more
    levels.room = room
    return 0


# --- reading -------------------------------------------------------------------------------------


cdef struct Scan:
    const char *at
    const char *end


cdef inline void _blank(Scan *scan) noexcept nogil:
    while scan.at < scan.end and scan.at[0] in (32, 9, 10, 13):
        scan.at += 1


cdef inline bint _take(Scan *scan, char what) noexcept nogil:
    """Whether the next character is this one; it is read if so."""
    _blank(scan)
    if scan.at < scan.end and scan.at[0] == what:
        scan.at += 1
        return True
    return False


cdef int _expect(Scan *scan, char what) except -1:
    if not _take(scan, what):
        raise ValueError(f"expected {chr(what)!r}")
    return 0


cdef double _slow_number(const char *start, Py_ssize_t length) except? -1.0:
    """Any number, as Python reads it."""
    cdef bytes text = PyBytes_FromStringAndSize(start, length)
    return PyOS_string_to_double(<char *>text, NULL, OverflowError)


cdef double _number(Scan *scan, bint bare, const char **start, Py_ssize_t *length) except? -1.0:
    """A JSON number, or one in a string; its digits are left in ``start`` and ``length``.

    A whole number below 2**53, times or over a power of ten up to 22, is rounded once, and so is
    the float nearest to the text (Clinger 1990).
    """
    cdef bint quoted = _take(scan, b'"')
    if quoted and bare:
        raise ValueError("a number is in quotes")
    cdef const char *at = scan.at
    cdef const char *end = scan.end
    cdef bint negative = False, exponent = False
    cdef uint64_t whole = 0
    cdef int digits = 0, places = 0
    start[0] = at
    if at < end and at[0] == 45:
        negative = True
        at += 1
    if at < end and at[0] == 48:
        at += 1
    else:
        if not (at < end and 49 <= at[0] <= 57):
            raise ValueError("expected a number")
        while at < end and 48 <= at[0] <= 57:
            if digits < MOST_DIGITS:
                whole = whole * 10 + (at[0] - 48)
            digits += 1
            at += 1
    if at < end and at[0] == 46:
        at += 1
        if not (at < end and 48 <= at[0] <= 57):
            raise ValueError("a number ends with its point")
        while at < end and 48 <= at[0] <= 57:
            if digits < MOST_DIGITS:
                whole = whole * 10 + (at[0] - 48)
            if digits or at[0] != 48:
                digits += 1
            places += 1
            at += 1
    if at < end and (at[0] == 101 or at[0] == 69):
        exponent = True
        at += 1
        if at < end and (at[0] == 43 or at[0] == 45):
            at += 1
        if not (at < end and 48 <= at[0] <= 57):
            raise ValueError("a number has an empty exponent")
        while at < end and 48 <= at[0] <= 57:
            at += 1
    length[0] = at - start[0]
    cdef double value
    if exponent or digits > MOST_DIGITS or whole > EXACT or places > 22:
        value = _slow_number(start[0], length[0])
    else:
        value = <double>whole / POWERS[places]
        if negative:
            value = -value
    scan.at = at
    if quoted:
        if not (at < end and at[0] == 34):
            raise ValueError("expected a number and nothing else")
        scan.at = at + 1
    return value


cdef int _add(
    Levels levels, double price, double size, bint texts,
    const char *price_at, Py_ssize_t price_length, const char *size_at, Py_ssize_t size_length,
) except -1:
    if not 0.0 < price <= LARGEST:
        raise ValueError(f"{price} is no price")
    if not 0.0 <= size <= LARGEST:
        raise ValueError(f"{size} is no size")
    _grow(levels, texts)
    cdef Py_ssize_t n = levels.count
    levels.values[2 * n] = price
    levels.values[2 * n + 1] = size
    cdef Text *text
    if texts:
        if price_length > DIGITS or size_length > DIGITS:
            raise ValueError(f"a number has more than {DIGITS} digits")
        text = &levels.texts[n]
        text.price_length = <unsigned char>price_length
        text.size_length = <unsigned char>size_length
        memcpy(text.price, price_at, price_length)
        memcpy(text.size, size_at, size_length)
    levels.count = n + 1
    return 0


cdef int _skip(Scan *scan) except -1:
    """Leave out one value. What is read here has passed a JSON parser before."""
    cdef int depth = 0
    cdef char c
    _blank(scan)
    while scan.at < scan.end:
        c = scan.at[0]
        if c == 34:
            _skip_text(scan)
            if depth == 0:
                return 0
            continue
        if c == 91 or c == 123:
            depth += 1
        elif c == 93 or c == 125:
            if depth == 0:
                return 0
            depth -= 1
            if depth == 0:
                scan.at += 1
                return 0
        elif c == 44 and depth == 0:
            return 0
        scan.at += 1
    raise ValueError("a value has no end")


cdef int _skip_text(Scan *scan) except -1:
    """Leave out one string, its quotes included."""
    scan.at += 1
    while scan.at < scan.end:
        if scan.at[0] == 92:
            scan.at += 1
        elif scan.at[0] == 34:
            scan.at += 1
            return 0
        scan.at += 1
    raise ValueError("a text has no end")


cdef int _read_pairs(Scan *scan, Levels levels, bint more, bint texts) except -1:
    cdef double price, size
    cdef const char *price_at
    cdef const char *size_at
    cdef Py_ssize_t price_length, size_length
    _expect(scan, b"[")
    if not _take(scan, b"]"):
        while True:
            _expect(scan, b"[")
            price = _number(scan, False, &price_at, &price_length)
            _expect(scan, b",")
            size = _number(scan, False, &size_at, &size_length)
            _add(levels, price, size, texts, price_at, price_length, size_at, size_length)
            while more and _take(scan, b","):
                _skip(scan)
            _expect(scan, b"]")
            if not _take(scan, b","):
                break
        _expect(scan, b"]")
    return 0


def pairs(raw, *, bint more=False):
    """See ``shell.marketdata.levels``."""
    return _pairs(raw, more, False)


def text_pairs(raw, *, bint more=False):
    """See ``shell.marketdata.levels``."""
    cdef Levels levels = _pairs(raw, more, True)
    return levels, levels.digits


cdef Levels _pairs(object raw, bint more, bint texts):
    cdef Levels levels = Levels.__new__(Levels)
    cdef Py_buffer view
    cdef Scan scan
    PyObject_GetBuffer(raw, &view, PyBUF_SIMPLE)
    try:
        scan.at = <const char *>view.buf
        scan.end = scan.at + view.len
        _read_pairs(&scan, levels, more, texts)
    finally:
        PyBuffer_Release(&view)
    return levels


cdef int _is(const char *at, Py_ssize_t length, bytes name) noexcept:
    return length == len(name) and memcmp(at, <char *>name, length) == 0


def objects(raw, bytes price_key, bytes size_key):
    """See ``shell.marketdata.levels``."""
    return _objects(raw, price_key, size_key, False)


def text_objects(raw, bytes price_key, bytes size_key):
    """See ``shell.marketdata.levels``."""
    cdef Levels levels = _objects(raw, price_key, size_key, True)
    return levels, levels.digits


cdef Levels _objects(object raw, bytes price_key, bytes size_key, bint texts):
    cdef Levels levels = Levels.__new__(Levels)
    cdef Py_buffer view
    PyObject_GetBuffer(raw, &view, PyBUF_SIMPLE)
    try:
        _read_objects(
            <const char *>view.buf, view.len, levels, None, price_key, size_key, b"", b"", b"",
            texts,
        )
    finally:
        PyBuffer_Release(&view)
    return levels


def sides(raw, bytes price_key, bytes size_key, *, bytes side_key, bytes bid, bytes ask):
    """See ``shell.marketdata.levels``."""
    cdef Levels bids = Levels.__new__(Levels)
    cdef Levels asks = Levels.__new__(Levels)
    cdef Py_buffer view
    PyObject_GetBuffer(raw, &view, PyBUF_SIMPLE)
    try:
        _read_objects(
            <const char *>view.buf, view.len, bids, asks, price_key, size_key, side_key, bid, ask,
            False,
        )
    finally:
        PyBuffer_Release(&view)
    return bids, asks


cdef int _read_objects(
    const char *start, Py_ssize_t length, Levels bids, Levels asks, bytes price_key,
    bytes size_key, bytes side_key, bytes bid, bytes ask, bint texts,
) except -1:
    cdef Scan scan
    cdef double price = 0.0, size = 0.0
    cdef const char *price_at = NULL
    cdef const char *size_at = NULL
    cdef const char *key
    cdef Py_ssize_t price_length = 0, size_length = 0, key_length
    cdef bint has_price, has_size
    cdef Levels side
    scan.at = start
    scan.end = start + length
    _expect(&scan, b"[")
    if _take(&scan, b"]"):
        return 0
    while True:
        _expect(&scan, b"{")
        has_price = has_size = False
        side = bids if asks is None else None
        if not _take(&scan, b"}"):
            while True:
                _blank(&scan)
                key = scan.at + 1
                _expect(&scan, b'"')
                scan.at -= 1
                _skip_text(&scan)
                key_length = scan.at - key - 1
                _expect(&scan, b":")
                if _is(key, key_length, price_key):
                    price = _number(&scan, texts, &price_at, &price_length)
                    has_price = True
                elif _is(key, key_length, size_key):
                    size = _number(&scan, texts, &size_at, &size_length)
                    has_size = True
                elif asks is not None and _is(key, key_length, side_key):
                    _blank(&scan)
                    key = scan.at + 1
                    _expect(&scan, b'"')
                    scan.at -= 1
                    _skip_text(&scan)
                    key_length = scan.at - key - 1
                    if _is(key, key_length, bid):
                        side = bids
                    elif _is(key, key_length, ask):
                        side = asks
                    else:
                        raise ValueError("a level is of no known side")
                else:
                    _skip(&scan)
                if not _take(&scan, b","):
                    break
            _expect(&scan, b"}")
        if not has_price or not has_size or side is None:
            raise ValueError("a level lacks its price, size or side")
        _add(side, price, size, texts, price_at, price_length, size_at, size_length)
        if not _take(&scan, b","):
            break
    _expect(&scan, b"]")
    return 0


# --- the book ------------------------------------------------------------------------------------


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
