# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=False, embedsignature=False
"""Frames to events in one pass: for frames whose bytes are always the same but for some values.

A venue writes each frame of a stream with the same keys in the same order. A ``Form`` knows that text, where the
values are in it, and which field of the event each of them is. Whatever differs from it in a byte, or
has a value that is not written plainly, is no frame of this form, and is left to the decoder of all frames;
so what is read here must be what that decoder would read. ``shell.marketdata.forms`` learns forms.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_SET_ITEM
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from citadel_micro.core.marketdata._levels cimport Levels, LevelTexts, Text, _fetch

cdef extern from *:
    """
    static PyObject *citadel_new_tuple(PyObject *type, Py_ssize_t size) {
        return ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, size);
    }
    """
    object citadel_new_tuple(object type, Py_ssize_t size)

cdef extern from *:
    """
    #include "structmember.h"
    /* Where a slot of a class lies in its objects; -1 for anything that is no plain slot. */
    static Py_ssize_t citadel_slot_at(PyObject *descriptor) {
        PyMemberDef *member;
        if (!PyObject_TypeCheck(descriptor, &PyMemberDescr_Type)) return -1;
        member = ((PyMemberDescrObject *)descriptor)->d_member;
        return member->type == T_OBJECT_EX && member->flags == 0 ? member->offset : -1;
    }

    /* How many of eight bytes are a quote. */
    static inline int citadel_quotes(const char *at) {
        const uint64_t low = 0x7F7F7F7F7F7F7F7Fu;
        uint64_t word;
        memcpy(&word, at, 8);
        word ^= 0x2222222222222222u;
        word = ~(((word & low) + low) | word | low);
        return (int)(((word >> 7) * 0x0101010101010101u) >> 56);
    }
    """
    Py_ssize_t citadel_slot_at(object descriptor)
    int citadel_quotes(const char *at) nogil

cdef extern from "Python.h":
    object PyUnicode_FromStringAndSize(const char *text, Py_ssize_t size)
    object PyLong_FromLongLong(long long value)
    object PyFloat_FromDouble(double value)
    bint PyLong_CheckExact(PyObject *object)
    long long PyLong_AsLongLongAndOverflow(PyObject *object, int *overflow) except? -1
    void Py_XDECREF(PyObject *object)

VERSION = 9
"""Raised with every change of what this module offers; ``core.marketdata.kernel`` refuses another."""

include "_values.pxi"

cdef enum:
    MOST = 40  # parts of a form, and of a row
    MANY = 128  # levels that are not worth copying
    NEAR = 24  # characters of a name that is kept in place
    SHORT = 40  # those of a stream's text: in the line of a cache that is read anyway

    LITERAL = 0
    WHOLE = 1  # an integer, not negative
    MILLIS = 2  # milliseconds of the epoch, not 0, for nanoseconds
    NUMBER = 3  # a decimal number in quotes
    ABOVE = 4  # the same, above 0
    DIGITS = 5  # an integer, as text
    FLAG = 6  # true or false, for one of two objects
    PAIRS = 7  # [["price","size"], ...]
    SKIP = 8  # a text, number, true, false or null
    LONG = 9  # [["price","size",plain, ...], ...]
    QUOTED = 10  # MILLIS in quotes
    TIME = 11  # "2021-04-17T16:43:37.085687Z", for nanoseconds
    SUM = 12  # an integer, but 0, which may be negative
    LATER = 13  # an integer above 1
    ROWS = 14  # [row, row ...], each as a list of parts says
    NAME = 15  # the text of the form's own name

    PRICE = 20  # of a row: a number
    SIZE = 21
    QUOTED_PRICE = 22  # the same in quotes
    QUOTED_SIZE = 23
    SIDE = 24  # one of two words, which say whose level it is

KINDS = {
    "whole": WHOLE, "millis": MILLIS, "number": NUMBER, "above": ABOVE, "digits": DIGITS,
    "flag": FLAG, "pairs": PAIRS, "skip": SKIP, "long pairs": LONG, "quoted millis": QUOTED,
    "time": TIME, "sum": SUM, "later": LATER, "rows": ROWS, "name": NAME,
}
ROW_KINDS = {
    "price": PRICE, "size": SIZE, "quoted price": QUOTED_PRICE, "quoted size": QUOTED_SIZE, "side": SIDE,
    "skip": SKIP,
}


cdef struct Part:
    int kind
    int field  # of the event; -1: of none
    int asks  # the field of asks, where rows are of both sides; else -1
    int count  # of the parts of a row
    Part *row
    Py_ssize_t length
    const char *text
    uint64_t word  # the first eight bytes of a short text
    uint64_t mask


cdef union Value:
    int64_t whole
    double number
    const char *at
    Py_ssize_t first


cdef struct Read:
    Value value
    Py_ssize_t count
    Py_ssize_t bids


# The levels of the frame that is being read, until there are lists for them: price and size of each, its
# digits, and whether it is an ask.
cdef double *scratch = NULL
cdef Text *digits = NULL
cdef char *asks = NULL
cdef Py_ssize_t room = 0


cdef int _more() except -1:
    global scratch, digits, asks, room
    cdef Py_ssize_t wanted = 1024 if room == 0 else 2 * room
    cdef void *more = PyMem_Realloc(scratch, wanted * 2 * sizeof(double))
    if more == NULL:
        raise MemoryError
    scratch = <double *>more
    more = PyMem_Realloc(digits, wanted * sizeof(Text))
    if more == NULL:
        raise MemoryError
    digits = <Text *>more
    more = PyMem_Realloc(asks, wanted)
    if more == NULL:
        raise MemoryError
    asks = <char *>more
    room = wanted
    return 0


cdef inline bint _literal(const Part *part, const char *at, const char *end) noexcept nogil:
    """Whether this text is next."""
    cdef uint64_t word
    if part.mask and end - at >= 8:
        memcpy(&word, at, 8)
        return (word ^ part.word) & part.mask == 0
    return end - at >= part.length and memcmp(at, part.text, part.length) == 0


cdef const char *_pairs(const char *at, Py_ssize_t *used, bint more, bint texts) except? NULL:
    """Behind levels, which are added to the scratch; ``more``: each may go on with plain values."""
    cdef const char *start
    cdef const char *second
    cdef double *row
    if at[0] != 91:
        return NULL
    at += 1
    if at[0] == 93:
        return at + 1
    while True:
        if at[0] != 91:
            return NULL
        if used[0] == room:
            _more()
        row = scratch + 2 * used[0]
        start = at + 1
        at = _decimal(start, &row[0])
        if at == NULL or at[0] != 44:
            return NULL
        second = at + 1
        at = _decimal(second, &row[1])
        if at == NULL or not (0.0 < row[0] <= LARGEST and row[1] <= LARGEST):
            return NULL
        if texts:
            _keep(&digits[used[0]], start + 1, second - start - 3, second + 1, at - second - 2)
        while more and at[0] == 44:
            at = _skip(at + 1)
            if at == NULL:
                return NULL
        if at[0] != 93:
            return NULL
        at += 1
        used[0] += 1
        if at[0] == 44:
            at += 1
        elif at[0] == 93:
            return at + 1
        else:
            return NULL


cdef inline void _keep(
    Text *text, const char *price, Py_ssize_t price_length, const char *size, Py_ssize_t size_length
) noexcept nogil:
    """The digits of a level, of which a number that is plain has few enough."""
    text.price_length = <unsigned char>price_length
    text.size_length = <unsigned char>size_length
    memcpy(text.price, price, price_length)
    memcpy(text.size, size, size_length)


cdef const char *_rows(const char *at, const char *end, const Part *part, Py_ssize_t *used) except? NULL:
    """Behind rows, each of which is a level."""
    cdef const Part *each
    cdef const char *start
    cdef double *row
    cdef Text *text
    cdef int number, quote
    if at[0] != 91:
        return NULL
    at += 1
    if at[0] == 93:
        return at + 1
    while True:
        if used[0] == room:
            _more()
        row = scratch + 2 * used[0]
        text = &digits[used[0]]
        asks[used[0]] = False
        for number in range(part.count):
            each = &part.row[number]
            if each.kind == LITERAL:
                if not _literal(each, at, end):
                    return NULL
                at += each.length
                continue
            start = at
            if each.kind == SIDE:
                if _literal(each, at, end):
                    at += each.length
                else:
                    each = &each.row[0]
                    if not _literal(each, at, end):
                        return NULL
                    at += each.length
                    asks[used[0]] = True
                continue
            if each.kind == SKIP:
                at = _skip(at)
                if at == NULL:
                    return NULL
                continue
            quote = 1 if each.kind == QUOTED_PRICE or each.kind == QUOTED_SIZE else 0
            if each.kind == PRICE or each.kind == QUOTED_PRICE:
                at = _decimal(at, &row[0]) if quote else _number(at, &row[0])
                if at == NULL:
                    return NULL
                text.price_length = <unsigned char>(at - start - 2 * quote)
                memcpy(text.price, start + quote, text.price_length)
            else:
                at = _decimal(at, &row[1]) if quote else _number(at, &row[1])
                if at == NULL:
                    return NULL
                text.size_length = <unsigned char>(at - start - 2 * quote)
                memcpy(text.size, start + quote, text.size_length)
        if not (0.0 < row[0] <= LARGEST and row[1] <= LARGEST):
            return NULL
        used[0] += 1
        if at[0] == 44:
            at += 1
        elif at[0] == 93:
            return at + 1
        else:
            return NULL


cdef Levels _levels(const Read *read, bint of_asks, bint texts):
    """The levels of a part; of rows of both sides those of one."""
    cdef Levels levels = Levels.__new__(Levels)
    cdef Py_ssize_t count = read.count - read.bids if of_asks else read.bids, i, n = 0
    if not count:
        return levels
    levels.values = <double *>PyMem_Malloc(2 * count * sizeof(double))
    if levels.values == NULL:
        raise MemoryError
    if texts:
        levels.texts = <Text *>PyMem_Malloc(count * sizeof(Text))
        if levels.texts == NULL:
            raise MemoryError
    levels.count = levels.room = count
    if count == read.count:
        memcpy(levels.values, scratch + 2 * read.value.first, 2 * count * sizeof(double))
        if texts:
            memcpy(levels.texts, digits + read.value.first, count * sizeof(Text))
        return levels
    for i in range(read.value.first, read.value.first + read.count):
        if asks[i] == of_asks:
            levels.values[2 * n] = scratch[2 * i]
            levels.values[2 * n + 1] = scratch[2 * i + 1]
            if texts:
                levels.texts[n] = digits[i]
            n += 1
    return levels


cdef Levels _taken(Py_ssize_t count, bint texts):
    """All levels of the scratch as they lie there, where they are many: it begins anew."""
    global scratch, digits, asks, room
    cdef Levels levels = Levels.__new__(Levels)
    cdef void *less
    levels.values = scratch
    levels.count = levels.room = count
    if texts:
        levels.texts = digits
    else:
        PyMem_Free(digits)
    PyMem_Free(asks)
    scratch = NULL
    digits = NULL
    asks = NULL
    room = 0
    less = PyMem_Realloc(levels.values, 2 * count * sizeof(double))
    if less == NULL:
        raise MemoryError
    levels.values = <double *>less
    if texts:
        less = PyMem_Realloc(levels.texts, count * sizeof(Text))
        if less == NULL:
            raise MemoryError
        levels.texts = <Text *>less
    return levels


cdef LevelTexts _texts(object levels):
    cdef LevelTexts texts = LevelTexts.__new__(LevelTexts)
    texts.levels = <Levels>levels
    return texts


cdef int _fill(Part *part, bytes text) except -1:
    """A text as a part."""
    part.kind = LITERAL
    part.field = part.asks = -1
    part.count = 0
    part.row = NULL
    part.text = PyBytes_AS_STRING(text)
    part.length = PyBytes_GET_SIZE(text)
    part.word = part.mask = 0
    if part.length <= 8:
        memcpy(&part.word, part.text, part.length)
        memset(&part.mask, 255, part.length)
    return 0


cdef class Layout:
    """What forms of several streams have in common, see ``Form``: all but the name, which each has for itself."""

    cdef Part parts[MOST]
    cdef int count
    cdef int recv
    cdef int low, high
    cdef int texts, bids, asks
    cdef int named
    cdef int size
    cdef int sources[32]
    cdef object event
    cdef tuple fields
    cdef tuple flags
    cdef list kept

    def __init__(self, type event, fields, int recv, parts, flags, rising, copies, texts, int named):
        cdef int number = 0
        if self.count:
            raise ValueError("a form does not change")
        self.event = event
        self.fields = tuple(fields)
        self.flags = tuple(flags)
        self.kept = []
        self.recv = recv
        self.low, self.high = (-1, -1) if rising is None else rising
        self.texts, self.bids, self.asks = (-1, -1, -1) if texts is None else texts
        self.size = len(self.fields)
        self.named = named
        if len(parts) > MOST or self.size > 32 or not issubclass(event, tuple):
            raise ValueError("a form has too many parts or fields, or its event is no tuple")
        if not -1 <= named < self.size:
            raise ValueError(f"an event has no field {named}")
        for number in range(self.size):
            self.sources[number] = -1
        for number, part in enumerate(parts):
            self.count = number + 1
            if isinstance(part, bytes):
                self.kept.append(part)
                _fill(&self.parts[number], part)
                continue
            _fill(&self.parts[number], b"")
            kind, field, *more = part
            if not -1 <= field < self.size:
                raise ValueError(f"an event has no field {field}")
            self.parts[number].kind = KINDS[kind]
            self.parts[number].field = field
            if field >= 0:
                self.sources[field] = number
            if more:
                self._row(&self.parts[number], more[0], more[1])
                if more[0] >= 0:
                    self.sources[more[0]] = number
        for field, other in copies:
            self.sources[field] = self.sources[other]
        for number in (self.low, self.high):
            if number >= 0 and (
                self.sources[number] < 0
                or self.parts[self.sources[number]].kind not in (NUMBER, ABOVE)
            ):
                raise ValueError("what rises must be two numbers of the frame")
        if self.texts >= 0 and not (0 <= self.bids < self.texts and 0 <= self.asks < self.texts < self.size):
            raise ValueError("digits are of fields before their own")

    def __dealloc__(self):
        cdef int number, i
        for number in range(self.count):
            if self.parts[number].row != NULL:
                for i in range(self.parts[number].count):
                    PyMem_Free(self.parts[number].row[i].row)
                PyMem_Free(self.parts[number].row)

    cdef int _row(self, Part *to, int asks, parts) except -1:
        """The parts of a row."""
        cdef int number
        cdef Part *each
        if not -1 <= asks < self.size or not 0 < len(parts) <= MOST:
            raise ValueError(f"an event has no field {asks}, or a row too many parts")
        to.row = <Part *>PyMem_Calloc(len(parts), sizeof(Part))
        if to.row == NULL:
            raise MemoryError
        to.asks = asks
        to.count = len(parts)
        for number, part in enumerate(parts):
            each = &to.row[number]
            if isinstance(part, bytes):
                self.kept.append(part)
                _fill(each, part)
                continue
            _fill(each, b"")
            if isinstance(part, str):
                each.kind = ROW_KINDS[part]
                continue
            _, bids, other = part
            self.kept += [bids, other]
            _fill(each, bids)
            each.kind = SIDE
            each.row = <Part *>PyMem_Calloc(1, sizeof(Part))
            if each.row == NULL:
                raise MemoryError
            _fill(each.row, other)
        kinds = [to.row[number].kind for number in range(to.count)]
        for one, quoted in ((PRICE, QUOTED_PRICE), (SIZE, QUOTED_SIZE)):
            if kinds.count(one) + kinds.count(quoted) != 1:
                raise ValueError("a row is a price and a size")
        if (asks >= 0) != (SIDE in kinds):
            raise ValueError("a row names its side where there are fields of both, and nowhere else")
        return 0

cdef class Form:
    """One kind of frame, and the event that it is.

    Args:
        event: a named tuple.
        fields: its fields, those that the frame gives being anything.
        recv: the field of the time of receipt.
        parts: the frame: text as bytes, and values as (kind, field of the event or -1). Rows are
            ("rows", field, field of asks or -1, parts of a row), whose parts are text, kinds of ``ROW_KINDS``, or
            the two words of a side, ("side", bids', asks'). ("name", -1) is the text of the form's own name.
        flags: the objects of true and false.
        rising: two fields with numbers, the first of which must be below the second.
        copies: pairs of a field and another, whose value it has too.
        texts: (field of the digits, of bids, of asks), where an event has the digits of its levels.
        name: the text of ("name", -1).
        named: the field that is the form's own, as its name is; -1: none.
    """

    # A thousand streams have one layout, which stays cached; what each has for itself is in one line of a cache.
    cdef Layout layout
    cdef object value
    cdef const char *name
    cdef Py_ssize_t length
    cdef char near[NEAR]
    cdef bytes kept

    def __init__(
        self, type event, fields, *, int recv, parts, flags=(True, False), rising=None, copies=(), texts=None,
        bytes name=b"", int named=-1,
    ):
        if self.layout is not None:
            raise ValueError("a form does not change")
        fields = tuple(fields)
        layout = Layout(event, fields, recv, parts, flags, rising, copies, texts, named)
        self._begin(layout, name, fields[named] if named >= 0 else None)

    cdef int _begin(self, Layout layout, bytes name, object value) except -1:
        self.kept = name
        self.length = PyBytes_GET_SIZE(name)
        if self.length <= NEAR:
            memcpy(self.near, PyBytes_AS_STRING(name), self.length)
            self.name = self.near
        else:
            self.name = PyBytes_AS_STRING(name)
        self.value = value
        self.layout = layout
        return 0

    def renamed(self, bytes name, value):
        """The form of another stream, which differs in its name and in the value of the field ``named`` only."""
        cdef Form form = Form.__new__(Form)
        if self.layout is None or self.layout.named < 0:
            raise ValueError("a form without a field of its own")
        form._begin(self.layout, name, value)
        return form

    def read(self, data, recv_ns):
        """A tuple of the event; None when the frame is not of this form."""
        if not PyBytes_CheckExact(data):
            return None
        return self._read(PyBytes_AS_STRING(data), PyBytes_AS_STRING(data) + PyBytes_GET_SIZE(data), recv_ns)

    cdef tuple _read(self, const char *at, const char *end, object recv_ns):
        cdef Layout layout = self.layout
        cdef Read reads[MOST]
        cdef const char *start
        cdef const Part *part
        cdef Read *read
        cdef int number, kind
        cdef Py_ssize_t used = 0, i
        cdef dict many = None
        if layout is None:
            return None
        if layout.named >= 0:
            _fetch(<size_t><PyObject *>self.value)
        for number in range(layout.count):
            part = &layout.parts[number]
            kind = part.kind
            if kind == LITERAL:
                if not _literal(part, at, end):
                    return None
                at += part.length
                continue
            if kind == NAME:
                if end - at < self.length or memcmp(at, self.name, self.length) != 0:
                    return None
                at += self.length
                continue
            start = at
            read = &reads[number]
            if kind == WHOLE:
                at = _integer(at, &read.value.whole)
            elif kind == MILLIS or kind == QUOTED:
                if kind == QUOTED:
                    if at[0] != 34:
                        return None
                    at += 1
                at = _integer(at, &read.value.whole)
                if at == NULL or not 0 < read.value.whole <= LATEST:
                    return None
                read.value.whole *= 1000000
                if kind == QUOTED:
                    if at[0] != 34:
                        return None
                    at += 1
            elif kind == NUMBER:
                at = _decimal(at, &read.value.number)
                if at != NULL and read.value.number > LARGEST:
                    return None
            elif kind == ABOVE:
                at = _decimal(at, &read.value.number)
                if at != NULL and not 0.0 < read.value.number <= LARGEST:
                    return None
            elif kind == PAIRS or kind == LONG or kind == ROWS:
                read.value.first = used
                if kind == ROWS:
                    at = _rows(at, end, part, &used)
                else:
                    at = _pairs(at, &used, kind == LONG, layout.texts >= 0)
                read.count = read.bids = used - read.value.first
                if at != NULL and part.asks < 0 and used >= MANY and read.value.first == 0:
                    if many is None:
                        many = {}
                    many[number] = _taken(used, layout.texts >= 0)
                    used = 0
                if at != NULL and part.asks >= 0:
                    read.bids = 0
                    for i in range(read.value.first, used):
                        read.bids += not asks[i]
            elif kind == DIGITS:
                at = _integer(at, &read.value.whole)
                if at != NULL:
                    read.value.at = start
                    read.count = at - start
            elif kind == FLAG:
                if _starts(at, b"true", 4):
                    read.value.whole = 0
                    at += 4
                elif _starts(at, b"false", 5):
                    read.value.whole = 1
                    at += 5
                else:
                    return None
            elif kind == TIME:
                at = _time(at, &read.value.whole)
            elif kind == SUM:
                at = _integer(at + 1 if at[0] == 45 else at, &read.value.whole)
                if at == NULL or read.value.whole == 0:
                    return None
                if start[0] == 45:
                    read.value.whole = -read.value.whole
            elif kind == LATER:
                at = _integer(at, &read.value.whole)
                if at == NULL or read.value.whole <= 1:
                    return None
            else:
                at = _skip(at)
            if at == NULL:
                return None
        if at != end:
            return None
        if layout.low >= 0 and not (
            reads[layout.sources[layout.low]].value.number < reads[layout.sources[layout.high]].value.number
        ):
            return None
        return self._event(reads, recv_ns, many)

    cdef tuple _event(self, Read *reads, object recv_ns, dict many):
        cdef Layout layout = self.layout
        cdef object event = citadel_new_tuple(layout.event, layout.size)
        cdef object value
        cdef int number, source, kind
        for number in range(layout.size):
            source = layout.sources[number]
            if source >= 0:
                kind = layout.parts[source].kind
                if kind == NUMBER or kind == ABOVE:
                    value = PyFloat_FromDouble(reads[source].value.number)
                elif kind == DIGITS:
                    value = PyUnicode_FromStringAndSize(reads[source].value.at, reads[source].count)
                elif kind == FLAG:
                    value = layout.flags[reads[source].value.whole]
                elif kind == PAIRS or kind == LONG or kind == ROWS:
                    if many is not None and source in many:
                        value = many[source]
                    else:
                        value = _levels(&reads[source], number == layout.parts[source].asks, layout.texts >= 0)
                elif number > 0 and layout.sources[number - 1] == source:
                    value = <object>PyTuple_GET_ITEM(event, number - 1)
                else:
                    value = PyLong_FromLongLong(reads[source].value.whole)
            elif number == layout.recv:
                value = recv_ns
            elif number == layout.texts:
                value = (
                    _texts(<object>PyTuple_GET_ITEM(event, layout.bids)),
                    _texts(<object>PyTuple_GET_ITEM(event, layout.asks)),
                )
            elif number == layout.named:
                value = self.value
            else:
                value = layout.fields[number]
            Py_INCREF(value)
            PyTuple_SET_ITEM(event, number, value)
        return (event,)


# --- which form a frame is of ---------------------------------------------------------------------


cdef object NO_OLD = 0


cdef struct Entry:
    uint64_t hash
    PyObject *form
    Py_ssize_t length
    char name[SHORT]  # its first characters
    const char *more  # the others
    bint used  # a frame was read by it


cdef inline uint64_t _hash(const char *name, Py_ssize_t length) noexcept nogil:
    cdef uint64_t hash = <uint64_t>length, word
    while length >= 8:
        memcpy(&word, name, 8)
        hash = (hash ^ word) * <uint64_t>0x9E3779B97F4A7C15
        hash ^= hash >> 29
        name += 8
        length -= 8
    word = 0
    memcpy(&word, name, length)
    hash = (hash ^ word) * <uint64_t>0x9E3779B97F4A7C15
    return hash ^ (hash >> 32)


cdef class FormDecoder:
    """A decoder that reads frames of known forms at once: the compiled twin of ``shell.marketdata.forms.PlainDecoder``."""

    cdef int _first, _last
    cdef object _sequence
    cdef int _number  # the field of the message's number
    cdef Py_ssize_t _last_at, _old_at  # where the sequence has what
    cdef Entry *_entries
    cdef Py_ssize_t _mask, _used
    cdef list _kept

    def __cinit__(self, *args, **kwargs):
        self._entries = NULL
        self._mask = -1
        self._used = 0
        self._kept = []

    def __init__(self, int first, int last, sequence=None, int number=-1):
        self._first = first
        self._last = last
        if sequence is not None:
            self._last_at = citadel_slot_at(type(sequence)._last)
            self._old_at = citadel_slot_at(type(sequence)._old)
            if self._last_at < 0 or self._old_at < 0 or number < 0:
                raise TypeError("a sequence without its slots, or of no field")
            self._number = number
            self._sequence = sequence

    def __dealloc__(self):
        PyMem_Free(self._entries)

    @property
    def forms(self):
        """How many forms are known."""
        return self._used

    def frame(self, data, recv_ns):
        """Events of one websocket message. Raises VenueViolation only."""
        cdef tuple events = self._quick(data, recv_ns)
        if events is None:
            return self.decode(data, recv_ns)
        if self._sequence is not None and not self._follows(<PyObject *>events):
            return self.unexpected(events)
        return events

    cdef bint _follows(self, PyObject *events) except -1:
        """Whether a frame is the next message of its connection, which is noted then; else nothing is done."""
        cdef PyObject *seq = <PyObject *>PyTuple_GET_ITEM(<object>PyTuple_GET_ITEM(<object>events, 0), self._number)
        cdef PyObject **last = <PyObject **>(<char *><PyObject *>self._sequence + self._last_at)
        cdef PyObject **old = <PyObject **>(<char *><PyObject *>self._sequence + self._old_at)
        cdef PyObject *before
        cdef int overflow = 0, other = 0
        cdef long long number, known
        if last[0] == NULL or not PyLong_CheckExact(last[0]) or not PyLong_CheckExact(seq):
            return False
        known = PyLong_AsLongLongAndOverflow(last[0], &overflow)
        number = PyLong_AsLongLongAndOverflow(seq, &other)
        if overflow or other or known < 0 or number - 1 != known:
            return False
        Py_INCREF(<object>seq)
        before = last[0]
        last[0] = seq
        Py_XDECREF(before)
        Py_INCREF(NO_OLD)
        before = old[0]
        old[0] = <PyObject *>NO_OLD
        Py_XDECREF(before)
        return True

    def quick(self, data, recv_ns):
        """The event of a frame of a known form, in a tuple; None for any other frame. No sequence is looked at."""
        return self._quick(data, recv_ns)

    def name(self, data):
        """What tells this frame's stream: the text from the first of the two quotes to the other; None without."""
        cdef Py_ssize_t length = 0
        cdef const char *at
        if not PyBytes_CheckExact(data):
            return None
        at = self._name(PyBytes_AS_STRING(data), PyBytes_AS_STRING(data) + PyBytes_GET_SIZE(data), &length)
        return None if at == NULL else at[:length]

    def add(self, bytes frame, Form form, bint used=True):
        """Read frames like this one by a form, unless one is known by which one was read.

        Args:
            frame: one of them.
            form: of them.
            used: it has read one; else another takes its place when it turns out to be of none that come.
        """
        cdef Py_ssize_t length = 0
        cdef const char *name = self._name(
            PyBytes_AS_STRING(frame), PyBytes_AS_STRING(frame) + PyBytes_GET_SIZE(frame), &length
        )
        cdef Entry *entry
        cdef bytes kept
        if name == NULL:
            return
        if 2 * (self._used + 1) > self._mask + 1:
            self._grow()
        entry = self._entry(name, length)
        if entry.form == NULL:
            kept = name[:length]
            self._kept.append((kept, form))
            memcpy(entry.name, name, min(length, SHORT))
            entry.more = PyBytes_AS_STRING(kept) + SHORT
            entry.length = length
            self._used += 1
        elif entry.used:
            return
        else:
            self._kept.append(form)
        entry.form = <PyObject *>form
        entry.used = used

    cdef tuple _quick(self, object data, object recv_ns):
        cdef const char *at
        cdef const char *end
        cdef const char *name
        cdef Py_ssize_t length = 0
        cdef Entry *entry
        cdef tuple events
        if self._used == 0 or not PyBytes_CheckExact(data):
            return None
        at = PyBytes_AS_STRING(data)
        end = at + PyBytes_GET_SIZE(data)
        name = self._name(at, end, &length)
        if name == NULL:
            return None
        entry = self._entry(name, length)
        if entry.form == NULL:
            return None
        events = (<Form>entry.form)._read(at, end, recv_ns)
        if events is not None and not entry.used:
            entry.used = True
        return events

    cdef const char *_name(self, const char *at, const char *end, Py_ssize_t *length) noexcept nogil:
        """What tells streams apart: the text between two of the frame's quotes."""
        cdef int quotes = 0, more
        cdef const char *start = NULL
        while end - at >= 8:  # up to the word with the first of the two
            more = citadel_quotes(at)
            if quotes + more >= self._first:
                break
            quotes += more
            at += 8
        while at < end and start == NULL:
            if at[0] == 34:
                quotes += 1
                if quotes == self._first:
                    start = at
            at += 1
        while end - at >= 8:  # and up to the word with the other
            more = citadel_quotes(at)
            if quotes + more >= self._last:
                break
            quotes += more
            at += 8
        while at < end:
            if at[0] == 34:
                quotes += 1
                if quotes == self._last:
                    length[0] = at - start
                    return start
            at += 1
        return NULL

    cdef Entry *_entry(self, const char *name, Py_ssize_t length) noexcept nogil:
        """Where this name is, or would be."""
        cdef uint64_t hash = _hash(name, length)
        cdef Py_ssize_t at = <Py_ssize_t>(hash & <uint64_t>self._mask)
        cdef Entry *entry
        while True:
            entry = &self._entries[at]
            if entry.form == NULL:
                entry.hash = hash
                return entry
            if (
                entry.hash == hash and entry.length == length and memcmp(entry.name, name, min(length, SHORT)) == 0
                and (length <= SHORT or memcmp(entry.more, name + SHORT, length - SHORT) == 0)
            ):
                return entry
            at = (at + 1) & self._mask

    cdef int _grow(self) except -1:
        cdef Entry *old = self._entries
        cdef Py_ssize_t count = self._mask + 1, i
        cdef Entry *new = <Entry *>PyMem_Calloc(2 * count if count else 16, sizeof(Entry))
        if new == NULL:
            raise MemoryError
        self._entries = new
        self._mask = (2 * count if count else 16) - 1
        for i in range(count):
            if old[i].form != NULL:
                self._entry(old[i].name, old[i].length)[0] = old[i]
        PyMem_Free(old)
        return 0
