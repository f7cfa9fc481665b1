# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=False, embedsignature=False
"""Market events as differences of whole numbers, for the journal: written and read once for every frame of a feed.

The compiled twin of ``citadel_proto.market_deltas``, which says what a frame is; both write the same bytes and
read the same events. ``core.marketdata.deltas`` chooses.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.long cimport PyLong_CheckExact
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_CheckExact
from libc.math cimport rint
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from citadel_micro.core.marketdata._levels cimport DIGITS, Levels, LevelTexts, Text

from citadel_micro.core.marketdata._levels import _levels as levels_of
from citadel_proto.errors import DecodeError

cdef extern from *:
    """
    static PyObject *citadel_tuple_of(PyObject *type, Py_ssize_t size) {
        return ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, size);
    }
    """
    object citadel_tuple_of(object type, Py_ssize_t size)

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    object PyUnicode_DecodeUTF8(const char *text, Py_ssize_t size, const char *errors)
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1
    object PyLong_FromLongLong(long long value)
    object PyFloat_FromDouble(double value)

VERSION = 2
"""Raised with every change of what this module offers; ``core.marketdata.kernel`` refuses another."""

cdef enum:
    FORMAT = 1
    DEPTH = 0
    QUOTE = 1
    TRADE = 2
    GROUP = 3
    OTHER = 4
    LATE = 8
    MS = 16
    SNAPSHOT = 32
    CHECKSUM = 64
    TEXTS = 128
    SAME_BID = 32
    SAME_ASK = 64
    SELL = 32
    HISTORY = 64
    NUMBERED = 128
    RAW = 255
    MOST_DECIMALS = 15
    MOST_DIGITS = 18
    WHOLE_BYTES = 10  # of the largest number

cdef int64_t WIDEST = 4611686018427387904  # 2**62
cdef int64_t NS_A_MS = 1000000
cdef double EXACT = 9007199254740992.0  # 2**53
cdef double POWERS[19]
POWERS[:] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18,
]


cdef struct Known:
    int64_t exchange_ns, seq, depth_seq, covers, trade_id
    int64_t ticks[5]  # last prices: bid, ask of depth; bid, ask of quotes; trades
    double quote[4]


cdef class Stream:
    """What is known of one venue's symbol."""

    cdef object venue
    cdef object symbol
    cdef Py_ssize_t number
    cdef int places[2]  # decimals of prices, of sizes
    cdef Known known

    cdef void begin(self, Py_ssize_t number) noexcept:
        self.number = number
        memset(&self.known, 0, sizeof(Known))


cdef struct Number:
    int places
    uint64_t whole


cdef inline uint64_t _zigzag(int64_t value) noexcept nogil:
    return (<uint64_t>value << 1) ^ (<uint64_t>0 - <uint64_t>(value < 0))


cdef inline int64_t _unzigzag(uint64_t value) noexcept nogil:
    return <int64_t>((value >> 1) ^ (<uint64_t>0 - (value & 1)))


cdef inline int64_t _sum(int64_t one, int64_t other) noexcept nogil:
    """Without an overflow that the language leaves open: damaged frames may ask for any sum."""
    return <int64_t>(<uint64_t>one + <uint64_t>other)


cdef inline bint _same(double one, double other) noexcept nogil:
    cdef uint64_t a, b
    memcpy(&a, &one, 8)
    memcpy(&b, &other, 8)
    return a == b


cdef inline int64_t _units(double value, int *places) noexcept nogil:
    """The value in units of a last decimal, and how many decimals; -1 where it is none such."""
    cdef int at
    cdef double product, whole
    for at in range(places[0], MOST_DECIMALS + 1):
        product = value * POWERS[at]
        if not 0.0 <= product <= EXACT:
            break
        whole = <double><int64_t>rint(product)  # by way of an integer: -0.0 is none
        if _same(whole / POWERS[at], value):
            places[0] = at
            return <int64_t>whole
    return -1


cdef inline bint _whole_of(object value, int64_t *into) except -1:
    """Whether it is an integer that has a place in a frame."""
    cdef int overflow = 0
    if not PyLong_CheckExact(value):
        return False
    into[0] = PyLong_AsLongLongAndOverflow(value, &overflow)
    return not overflow and -WIDEST <= into[0] <= WIDEST


cdef inline bint _is_name(object text):
    """Whether it is text that UTF-8 can hold."""
    cdef Py_ssize_t size
    if not PyUnicode_CheckExact(text):
        return False
    try:
        PyUnicode_AsUTF8AndSize(text, &size)
    except UnicodeEncodeError:
        return False
    return True


cdef Levels _side(object levels):
    """The levels of a side as they lie in memory; None where they are not all pairs of floats."""
    if isinstance(levels, Levels):
        return levels
    for price, size in levels:
        if not PyFloat_CheckExact(price) or not PyFloat_CheckExact(size):
            return None
    return levels_of(levels, None)


cdef bint _number_of(const char *at, Py_ssize_t length, double value, Number *into) noexcept:
    """Whether the digits are plain and give this value."""
    cdef uint64_t whole = 0
    cdef Py_ssize_t i, point = -1
    if length == 0 or length > MOST_DIGITS + 1:
        return False
    for i in range(length):
        if at[i] == 46 and point < 0 and i > 0:
            point = i
        elif 48 <= at[i] <= 57:
            whole = whole * 10 + <uint64_t>(at[i] - 48)
        else:
            return False
    if (length if point < 0 else length - 1) > MOST_DIGITS or point == length - 1:
        return False
    if at[0] == 48 and (point > 1 or (point < 0 and length > 1)):
        return False
    into.places = 0 if point < 0 else <int>(length - 1 - point)
    into.whole = whole
    return whole <= <uint64_t>EXACT and _same(<double>whole / POWERS[into.places], value)


cdef bint _digits_of(Levels levels, object texts, Number *into) except -1:
    """Whether all digits of a side are plain; they are put into twice as many numbers as it has levels."""
    cdef Py_ssize_t i, price_length, size_length
    cdef const char *price_at
    cdef const char *size_at
    cdef Levels written = None
    if isinstance(texts, LevelTexts):
        written = (<LevelTexts>texts).levels
        if written.texts == NULL:
            return levels.count == 0
        if written.count != levels.count:
            return False
    elif len(texts) != levels.count:
        return False
    for i in range(levels.count):
        if written is not None:
            price_at, price_length = written.texts[i].price, written.texts[i].price_length
            size_at, size_length = written.texts[i].size, written.texts[i].size_length
        else:
            price, size = texts[i]
            if not _is_name(price) or not _is_name(size):
                return False
            price_at = PyUnicode_AsUTF8AndSize(price, &price_length)
            size_at = PyUnicode_AsUTF8AndSize(size, &size_length)
        if not (
            _number_of(price_at, price_length, levels.values[2 * i], &into[2 * i])
            and _number_of(size_at, size_length, levels.values[2 * i + 1], &into[2 * i + 1])
        ):
            return False
    return True


# --- writing -------------------------------------------------------------------------------------


cdef class Writer:
    """See ``core.marketdata.deltas``."""

    cdef unsigned char *out
    cdef Py_ssize_t size, room
    cdef dict streams
    cdef list used
    cdef Stream last
    cdef int64_t now_ns
    cdef object depth, quote, trade

    def __cinit__(self, depth, quote, trade):
        self.out = NULL
        self.size = self.room = 0
        self.streams = {}
        self.used = []
        self.last = None
        self.now_ns = 0
        self.depth, self.quote, self.trade = depth, quote, trade

    def __dealloc__(self):
        PyMem_Free(self.out)

    def __len__(self):
        return self.size

    def take(self):
        """The frame of what was added since the last call; empty if nothing was."""
        cdef Stream stream
        if self.size == 0:
            return b""
        cdef bytes frame = PyBytes_FromStringAndSize(NULL, self.size + 1)
        cdef char *to = PyBytes_AS_STRING(frame)
        to[0] = FORMAT
        memcpy(to + 1, self.out, self.size)
        self.size = 0
        for stream in self.used:
            stream.number = -1
        self.used.clear()
        self.last = None
        self.now_ns = 0
        return frame

    def group(self, now_ns, Py_ssize_t count):
        """The next events came as one frame at this time. False: it has no place here."""
        cdef int64_t now
        if not _whole_of(now_ns, &now) or now < 0:
            return False
        self._grow(1 + 2 * WHOLE_BYTES)
        self._byte(GROUP)
        self._whole(_zigzag(now - self.now_ns))
        self._whole(count)
        self.now_ns = now
        return True

    def add(self, now_ns, event):
        """Add an event. False, and nothing is added: it has values that have no place here."""
        cdef int64_t now
        if not _whole_of(now_ns, &now):
            return False
        cdef object kind = type(event)
        if kind is self.quote:
            return self._quote(now, <tuple>event)
        if kind is self.depth:
            return self._depth(now, <tuple>event)
        if kind is self.trade:
            return self._trade(now, <tuple>event)
        return False

    cdef bint _quote(self, int64_t now, tuple event) except -1:
        cdef int64_t seq, exchange_ns, recv_ns
        cdef int i, side
        cdef Py_ssize_t at
        cdef double values[4]
        if not (
            _is_name(event[0]) and _is_name(event[1]) and _whole_of(event[2], &seq)
            and _whole_of(event[7], &exchange_ns) and _whole_of(event[8], &recv_ns)
        ):
            return False
        for i in range(4):
            if not PyFloat_CheckExact(event[3 + i]):
                return False
            values[i] = PyFloat_AS_DOUBLE(event[3 + i])
        at = self.size
        cdef int tag = self._begin(QUOTE, event, now, recv_ns, exchange_ns)
        cdef Stream stream = self.last
        self._grow(5 * WHOLE_BYTES + 44)
        self._whole(_zigzag(seq - stream.known.seq))
        stream.known.seq = seq
        for side in range(2):
            i = 2 * side
            if _same(values[i], stream.known.quote[i]) and _same(values[i + 1], stream.known.quote[i + 1]):
                tag |= SAME_ASK if side else SAME_BID
                continue
            stream.known.quote[i] = values[i]
            stream.known.quote[i + 1] = values[i + 1]
            # Not in one step: an escape clears what is to be set.
            seq = self._price(stream, values[i], stream.known.ticks[2 + side])
            stream.known.ticks[2 + side] = seq
            self._size(stream, values[i + 1])
        self.out[at] = <unsigned char>tag
        return True

    cdef bint _trade(self, int64_t now, tuple event) except -1:
        cdef int64_t exchange_ns, recv_ns, number
        cdef object name = event[2], side = event[5], history = event[8]
        if not (
            _is_name(event[0]) and _is_name(event[1]) and _is_name(name)
            and PyFloat_CheckExact(event[3]) and PyFloat_CheckExact(event[4])
            and PyUnicode_CheckExact(side) and (side == "buy" or side == "sell")
            and (history is True or history is False)
            and _whole_of(event[6], &exchange_ns) and _whole_of(event[7], &recv_ns)
        ):
            return False
        cdef Py_ssize_t at = self.size, length
        cdef int tag = self._begin(TRADE, event, now, recv_ns, exchange_ns)
        cdef Stream stream = self.last
        cdef const char *text = PyUnicode_AsUTF8AndSize(name, &length)
        if side == "sell":
            tag |= SELL
        if history is True:
            tag |= HISTORY
        if _is_number(text, length, &number):
            tag |= NUMBERED
            self._grow(WHOLE_BYTES)
            self._whole(_zigzag(number - stream.known.trade_id))
            stream.known.trade_id = number
        else:
            self._text(text, length)
        self._grow(2 * WHOLE_BYTES + 22)
        number = self._price(stream, PyFloat_AS_DOUBLE(event[3]), stream.known.ticks[4])
        stream.known.ticks[4] = number
        self._size(stream, PyFloat_AS_DOUBLE(event[4]))
        self.out[at] = <unsigned char>tag
        return True

    cdef bint _depth(self, int64_t now, tuple event) except -1:
        cdef int64_t first, last, prev, checksum = 0, exchange_ns, recv_ns, covers, before, ticks, top
        cdef object snapshot = event[2], texts = event[11]
        if not (
            _is_name(event[0]) and _is_name(event[1]) and (snapshot is True or snapshot is False)
            and _whole_of(event[3], &first) and _whole_of(event[4], &last) and _whole_of(event[5], &prev)
            and (event[6] is None or _whole_of(event[6], &checksum))
            and _whole_of(event[9], &exchange_ns) and _whole_of(event[10], &recv_ns)
            and _whole_of(event[12], &covers)
        ):
            return False
        cdef Levels bids = _side(event[7])
        cdef Levels asks = _side(event[8])
        if bids is None or asks is None:
            return False
        cdef Py_ssize_t at = self.size, i
        cdef int tag, side
        cdef Number *digits = NULL
        cdef Levels levels
        cdef Stream stream
        try:
            if texts is not None:
                digits = <Number *>PyMem_Malloc((2 * (bids.count + asks.count) + 1) * sizeof(Number))
                if digits == NULL:
                    raise MemoryError
                if not (
                    _digits_of(bids, texts[0], digits)
                    and _digits_of(asks, texts[1], digits + 2 * bids.count)
                ):
                    return False
            tag = self._begin(DEPTH, event, now, recv_ns, exchange_ns)
            stream = self.last
            self._grow(7 * WHOLE_BYTES)
            if snapshot is True:
                tag |= SNAPSHOT
            self._whole(_zigzag(last - stream.known.seq))
            self._whole(_zigzag(last - first))
            before = stream.known.depth_seq
            self._whole(0 if prev == before else 1 if prev == -1 else 2 + _zigzag(prev - before))
            stream.known.seq = stream.known.depth_seq = last
            if event[6] is not None:
                tag |= CHECKSUM
                self._whole(_zigzag(checksum))
            self._whole(_zigzag(covers - stream.known.covers))
            stream.known.covers = covers
            self._whole(bids.count)
            self._whole(asks.count)
            if texts is not None:
                tag |= TEXTS
                self._digits(digits, bids.count)
                self._digits(digits + 2 * bids.count, asks.count)
            else:
                for side in range(2):
                    levels = asks if side else bids
                    ticks = top = stream.known.ticks[side]
                    self._grow(levels.count * (2 * WHOLE_BYTES + 22))
                    for i in range(levels.count):
                        ticks = self._price(stream, levels.values[2 * i], ticks)
                        if i == 0:
                            top = ticks
                        self._size(stream, levels.values[2 * i + 1])
                    if levels.count:
                        stream.known.ticks[side] = top
            self.out[at] = <unsigned char>tag
        finally:
            PyMem_Free(digits)
        return True

    cdef int _digits(self, Number *digits, Py_ssize_t count) except -1:
        cdef uint64_t before = 0
        cdef Py_ssize_t i
        self._grow(count * (2 + 2 * WHOLE_BYTES))
        for i in range(count):
            self._byte(digits[2 * i].places)
            self._whole(_zigzag(<int64_t>(digits[2 * i].whole - before)))
            before = digits[2 * i].whole
            self._byte(digits[2 * i + 1].places)
            self._whole(digits[2 * i + 1].whole)
        return 0

    cdef int _begin(self, int kind, tuple event, int64_t now, int64_t recv_ns, int64_t exchange_ns) except -1:
        """The tag, which is put in its place later, the stream and the times."""
        cdef int tag = kind
        cdef Stream stream = self.last
        cdef object venue = event[0], symbol = event[1]
        cdef int64_t moved
        self._grow(1)
        self._byte(0)
        if stream is None or not (
            (stream.venue is venue and stream.symbol is symbol)
            or (stream.venue == venue and stream.symbol == symbol)
        ):
            tag |= OTHER
            stream = self._stream(venue, symbol)
        self._grow(3 * WHOLE_BYTES)
        self._whole(_zigzag(now - self.now_ns))
        self.now_ns = now
        if recv_ns != now:
            tag |= LATE
            self._whole(_zigzag(recv_ns - now))
        moved = exchange_ns - stream.known.exchange_ns
        stream.known.exchange_ns = exchange_ns
        if moved % NS_A_MS == 0:
            tag |= MS
            moved //= NS_A_MS
        self._whole(_zigzag(moved))
        return tag

    cdef Stream _stream(self, object venue, object symbol):
        cdef tuple names = (venue, symbol)
        cdef Stream stream = self.streams.get(names)
        cdef Py_ssize_t length
        cdef const char *text
        if stream is None:
            stream = Stream.__new__(Stream)
            stream.venue, stream.symbol = venue, symbol
            stream.number = -1
            stream.places[0] = stream.places[1] = 0
            self.streams[names] = stream
        self.last = stream
        self._grow(WHOLE_BYTES)
        if stream.number >= 0:
            self._whole(stream.number)
            return stream
        stream.begin(len(self.used))
        self.used.append(stream)
        self._whole(stream.number)
        for name in names:
            text = PyUnicode_AsUTF8AndSize(name, &length)
            self._text(text, length)
        self._grow(2)
        self._byte(stream.places[0])
        self._byte(stream.places[1])
        return stream

    cdef inline int64_t _price(self, Stream stream, double price, int64_t before) noexcept:
        """Room for an escape and a number was made before."""
        cdef int places = stream.places[0]
        cdef int64_t whole = _units(price, &places)
        if whole < 0:
            self._escape(price)
            return before
        if places != stream.places[0]:
            self._byte(0)
            self._byte(places)
            stream.places[0] = places
            memset(stream.known.ticks, 0, sizeof(stream.known.ticks))
            before = 0
        self._whole(1 + _zigzag(whole - before))
        return whole

    cdef inline void _size(self, Stream stream, double size) noexcept:
        cdef int places = stream.places[1]
        cdef int64_t whole = _units(size, &places)
        if whole < 0:
            self._escape(size)
            return
        if places != stream.places[1]:
            self._byte(0)
            self._byte(places)
            stream.places[1] = places
        self._whole(1 + <uint64_t>whole)

    cdef void _escape(self, double value) noexcept:
        self._byte(0)
        self._byte(RAW)
        memcpy(self.out + self.size, &value, 8)  # little-endian, as all machines that this is built for
        self.size += 8

    cdef int _text(self, const char *text, Py_ssize_t length) except -1:
        self._grow(WHOLE_BYTES + length)
        self._whole(length)
        memcpy(self.out + self.size, text, length)
        self.size += length
        return 0

    cdef inline void _byte(self, int value) noexcept:
        self.out[self.size] = <unsigned char>value
        self.size += 1

    cdef inline void _whole(self, uint64_t value) noexcept:
        while value >= 128:
            self.out[self.size] = <unsigned char>(value & 127 | 128)
            self.size += 1
            value >>= 7
        self.out[self.size] = <unsigned char>value
        self.size += 1

    cdef inline int _grow(self, Py_ssize_t more) except -1:
        """Room for so many bytes more."""
        cdef Py_ssize_t room
        cdef unsigned char *out
        if self.size + more <= self.room:
            return 0
        room = 2 * (self.size + more) + 4096
        out = <unsigned char *>PyMem_Realloc(self.out, room)
        if out == NULL:
            raise MemoryError
        self.out = out
        self.room = room
        return 0


cdef bint _is_number(const char *text, Py_ssize_t length, int64_t *into) noexcept:
    """Whether an integer, written out again, is this text."""
    cdef Py_ssize_t i
    if not 0 < length <= MOST_DIGITS or (text[0] == 48 and length > 1):
        return False
    into[0] = 0
    for i in range(length):
        if not 48 <= text[i] <= 57:
            return False
        into[0] = into[0] * 10 + (text[i] - 48)
    return True


include "_deltas_read.pxi"
