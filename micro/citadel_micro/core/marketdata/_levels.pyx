# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=False, embedsignature=False
"""Digits to levels: the part of a feed that is run for every price level of a frame.

The compiled twin of the level readers of ``shell.marketdata.levels``; the same tests run against both, and both give
the same results to the last bit. ``core.marketdata.kernel`` chooses.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Realloc
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    double PyOS_string_to_double(const char *text, char **end, object overflow) except? -1.0

VERSION = 4
"""Raised with every change of what this module offers; ``core.marketdata.kernel`` refuses another."""

cdef double LARGEST = 1e18
cdef double POWERS[23]
POWERS[:] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
]
cdef uint64_t EXACT = 9007199254740992  # 2**53: below it every integer is a float
cdef int MOST_DIGITS = 18  # of an integer that cannot overflow


# --- where a market lies --------------------------------------------------------------------------
#
# One of a thousand books is in no cache when its frame comes, and a change of it waits for a dozen lines of memory, one
# after the other. So where they were at its last change is noted by the address of its symbol's text, and they come
# while the frame is read. Nothing is ever read through these addresses: of a book that is gone they fetch in vain.

cdef enum:
    PLACES = 4096
    LINE = 64  # bytes
    MARKET = 320  # bytes of a market that every change touches
    BOOK = 704  # those of a book
    RECENT = 64  # frames after which a book is no more near: to fetch what is there costs 0.2 us

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define CITADEL_FETCH(at) __builtin_prefetch((const void *)(at), 1)
    #else
    #define CITADEL_FETCH(at) ((void)(at))
    #endif
    """
    void CITADEL_FETCH(size_t at) nogil

cdef Places *places = NULL
cdef uint64_t fetches = 0


cdef Places *_places_of(size_t symbol) noexcept:
    """Where to note them for this symbol; NULL where there is no memory for it."""
    global places
    if places == NULL:
        places = <Places *>PyMem_Calloc(PLACES, sizeof(Places))
        if places == NULL:
            return NULL
    return &places[((symbol >> 4) ^ (symbol >> 13)) & (PLACES - 1)]


cdef void _fetch(size_t symbol) noexcept:
    """Let come what was noted of this symbol, unless it must still be near."""
    global fetches
    cdef Places *at = _places_of(symbol)
    cdef uint64_t since
    cdef size_t i
    if at == NULL or at.symbol != symbol:
        return
    fetches += 1
    since = fetches - at.fetch
    at.fetch = fetches
    if since <= RECENT:
        return
    for i in range(0, MARKET, LINE):
        CITADEL_FETCH(at.market + i)
    CITADEL_FETCH(at.judge)
    CITADEL_FETCH(at.judge + LINE)
    for i in range(0, BOOK, LINE):
        CITADEL_FETCH(at.book + i)
    CITADEL_FETCH(at.bids)
    CITADEL_FETCH(at.bids - LINE)
    CITADEL_FETCH(at.bid_sizes)
    CITADEL_FETCH(at.asks)
    CITADEL_FETCH(at.asks - LINE)
    CITADEL_FETCH(at.ask_sizes)


# --- levels --------------------------------------------------------------------------------------


cdef class Levels:
    """(price, size) pairs as they were read: a sequence that equals a list of the same pairs."""

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
            # As those that were read: books take it from them that the numbers are those of the digits.
            if float(texts[i][0]) != price or float(texts[i][1]) != size:
                raise ValueError(f"{texts[i][0]} x {texts[i][1]} is not {price} x {size}")
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
