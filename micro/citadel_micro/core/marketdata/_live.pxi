# The plain events of a market that is followed: the next change of a LIVE book, a newer quote, a new trade.
#
# These stand in for the methods of ``MarketBook`` and ``FlowFeatures`` of the same names, and ``MarketEvents`` for
# what the engine does around them. Each first looks whether
# the event is a plain one, without changing anything, and leaves every other to the method in Python, which
# remains the rule: what is done here must be what it would do. State stays where it is, in the slots of the
# Python objects, which are read and written in place.

cdef extern from *:
    """
    #include "structmember.h"
    #define CITADEL_TYPE(object) ((PyObject *)Py_TYPE(object))
    /* Where a slot of a class lies in its objects; -1 for anything that is no plain slot. */
    static Py_ssize_t citadel_slot(PyObject *descriptor) {
        PyMemberDef *member;
        if (!PyObject_TypeCheck(descriptor, &PyMemberDescr_Type)) return -1;
        member = ((PyMemberDescrObject *)descriptor)->d_member;
        return member->type == T_OBJECT_EX && member->flags == 0 ? member->offset : -1;
    }
    #define CITADEL_AT(object, offset) (*(PyObject **)((char *)(object) + (offset)))
    """
    Py_ssize_t citadel_slot(object descriptor)
    PyObject *CITADEL_AT(PyObject *object, Py_ssize_t offset)
    PyObject *CITADEL_TYPE(PyObject *object)

cdef extern from "Python.h":
    bint PyLong_CheckExact(PyObject *object)
    bint PyFloat_CheckExact(PyObject *object)
    bint PyTuple_CheckExact(PyObject *object)
    bint PyList_CheckExact(PyObject *object)
    PyObject *PyList_GET_ITEM(PyObject *list, Py_ssize_t at)
    Py_ssize_t PyList_GET_SIZE(PyObject *list)
    double PyFloat_AS_DOUBLE(PyObject *object)
    long long PyLong_AsLongLongAndOverflow(PyObject *object, int *overflow) except? -1
    object PyLong_FromLongLong(long long value)
    object PyFloat_FromDouble(double value)
    PyObject *Py_False
    PyObject *Py_True
    PyObject *PyTuple_GET_ITEM(PyObject *tuple, Py_ssize_t at)
    Py_ssize_t PyTuple_GET_SIZE(PyObject *tuple)
    PyObject *PyDict_GetItemWithError(PyObject *dict, PyObject *key) except? NULL
    int PyDict_SetItem(PyObject *dict, PyObject *key, PyObject *value) except -1
    Py_ssize_t PyDict_GET_SIZE(PyObject *dict)
    void Py_XDECREF(PyObject *object)

cdef struct MarketSlots:
    Py_ssize_t quote, book, flow
    Py_ssize_t checksum, depth, judge_of, last_quote, news_of, proving, quote_seq, quoted_ns, recent
    Py_ssize_t traded_ns, unproven, useless_ns, deltas, exchange_ns, last_recv_ns, last_seq, last_trade
    Py_ssize_t news, resyncs, state, traded, check, mute

cdef struct JudgeSlots:
    Py_ssize_t last, old, bridged, remember

cdef struct Slots:
    MarketSlots market
    JudgeSlots spot, futures, chain, contiguous, connection
    Py_ssize_t ready, proves  # of one without numbers
    Py_ssize_t style, count, passed  # of a checksum
    Py_ssize_t cell, sum  # of sums
    Py_ssize_t poll  # of a cross-check
    Py_ssize_t young, older, lag_ns, left, happened_ns  # of the trades that were seen
    Py_ssize_t inst_market, features, dirty, parents, held, waiting  # of an instrument, and its held stops
    Py_ssize_t feature_market, feature_flow, best, grid, last_ns, feature_resyncs

cdef enum:
    UPDATED = 1  # of Change

cdef Slots slots
cdef object market_type = None
cdef object features_type = None
cdef object states_type = None
cdef object depth_type = None
cdef object quote_type = None
cdef object trade_type = None
cdef tuple judge_types = (None,) * 6
cdef object plain_depth = None
cdef object plain_quote = None
cdef object plain_trade = None
cdef object plain_best = None
cdef object plain_book = None
cdef str LIVE = "LIVE"
cdef object ZERO = 0
cdef object NO_QUOTE = -1

# As snapshot_buffer, trade_news, rolling_sums and order_flow have them in Python: a test compares.
cdef int64_t QUOTE_NS = 1000000000
cdef int64_t LATE_NS = 1000000000
cdef int64_t STAMP_NS = 60000000000
cdef int64_t CELL_NS = 100000000
cdef int64_t GRID_NS = 1000000000
cdef Py_ssize_t MOST_TRADES = 512


cdef inline PyObject *_at(object one, Py_ssize_t slot) noexcept:
    return CITADEL_AT(<PyObject *>one, slot)


cdef inline void _put_at(object one, Py_ssize_t slot, object value) noexcept:
    cdef PyObject *old = CITADEL_AT(<PyObject *>one, slot)
    Py_INCREF(value)
    _write(<PyObject *>one, slot, <PyObject *>value)
    Py_XDECREF(old)


cdef inline void _write(PyObject *one, Py_ssize_t slot, PyObject *value) noexcept:
    (<PyObject **>(<char *>one + slot))[0] = value


cdef inline bint _whole(PyObject *value, int64_t *to) except -1:
    """An integer of 64 bits; False for anything else."""
    cdef int overflow = 0
    if value == NULL or not PyLong_CheckExact(value):
        return False
    to[0] = PyLong_AsLongLongAndOverflow(value, &overflow)
    return overflow == 0


cdef inline bint _four(PyObject *best, double *to) noexcept:
    """Bid, bid size, ask and ask size of a tuple of floats; False for anything else."""
    cdef int i
    if best == NULL or not PyTuple_CheckExact(best) or PyTuple_GET_SIZE(best) != 4:
        return False
    for i in range(4):
        if not PyFloat_CheckExact(PyTuple_GET_ITEM(best, i)):
            return False
        to[i] = PyFloat_AS_DOUBLE(PyTuple_GET_ITEM(best, i))
    return True


cdef inline bint _best_of(PyObject *market, double *to) noexcept:
    """The market's best prices and sizes, the fresher of depth and quote; False when there is none."""
    cdef Level bid, ask
    cdef PyObject *quote = CITADEL_AT(market, slots.market.quote)
    cdef Book book
    if quote != <PyObject *>None:
        return _four(quote, to)
    book = <Book>CITADEL_AT(market, slots.market.book)
    if not _first(&book._bids, &bid) or not _first(&book._asks, &ask):
        return False
    to[0] = bid.key
    to[1] = bid.size
    to[2] = -ask.key
    to[3] = ask.size
    return True


cdef inline bint _same(const double *one, const double *other) noexcept:
    return one[0] == other[0] and one[1] == other[1] and one[2] == other[2] and one[3] == other[3]


cdef inline bint _is_market(object market) noexcept:
    """A market of exactly the class whose methods these are, with a book of ours."""
    return (
        CITADEL_TYPE(<PyObject *>market) == <PyObject *>market_type
        and CITADEL_AT(<PyObject *>market, slots.market.book) != NULL
        and CITADEL_TYPE(CITADEL_AT(<PyObject *>market, slots.market.book)) == <PyObject *>Book
    )


cdef inline int _add(object flow, double number, object at_ns, int64_t of_ns) except -1:
    """``CellSums.add``, to sums whose slots were looked at; the method itself begins a cell."""
    cdef int64_t cell = 0
    _whole(_at(flow, slots.cell), &cell)
    if of_ns // CELL_NS > cell:
        flow.add(number, at_ns)
    else:
        _put_at(flow, slots.sum, PyFloat_FromDouble(PyFloat_AS_DOUBLE(_at(flow, slots.sum)) + number))
    return 0


# --- quotes ---------------------------------------------------------------------------------------


def on_quote(self, quote):
    """See ``MarketBook.on_quote``."""
    cdef int news = _quote(self, quote)
    return plain_quote(self, quote) if news < 0 else news == 1


cdef int _quote(object self, object quote) except -2:
    """1 where it is news, 0 where it is none; -1 where it is not plain, and nothing was done."""
    cdef int64_t seq = 0, recv_ns = 0, last_seq = 0, quote_seq = 0, stamp = 0, exchange_ns = 0, before_ns = 0
    cdef int64_t quoted_ns = 0, last_ns = 0
    cdef double now[4]
    cdef double before[4]
    cdef PyObject *event = <PyObject *>quote
    cdef PyObject *last
    cdef MarketSlots *at = &slots.market
    cdef int i
    if not _is_market(self) or CITADEL_TYPE(event) != <PyObject *>quote_type:
        return -1
    for i in range(4):
        if not PyFloat_CheckExact(PyTuple_GET_ITEM(event, 3 + i)):
            return -1
        now[i] = PyFloat_AS_DOUBLE(PyTuple_GET_ITEM(event, 3 + i))
    last = _at(self, at.quote)
    if (
        not _whole(PyTuple_GET_ITEM(event, 2), &seq)
        or not _whole(PyTuple_GET_ITEM(event, 8), &recv_ns)
        or not _whole(_at(self, at.last_recv_ns), &last_ns)
        or not _whole(_at(self, at.quoted_ns), &quoted_ns)
        or last == NULL
        or (last != <PyObject *>None and not _four(last, before))
    ):
        return -1
    if seq >= 0:
        if not _whole(_at(self, at.last_seq), &last_seq) or not _whole(_at(self, at.quote_seq), &quote_seq):
            return -1
        if seq <= last_seq:
            return 0
        if seq < quote_seq:
            return -1
        _put_at(self, at.quote_seq, <object>PyTuple_GET_ITEM(event, 2))
    else:
        if not _whole(PyTuple_GET_ITEM(event, 7), &stamp) or not _whole(_at(self, at.exchange_ns), &exchange_ns):
            return -1
        if stamp < exchange_ns:
            return -1
        _put_at(self, at.quote_seq, NO_QUOTE)
    if _best_of(<PyObject *>self, before) and _same(now, before):
        return 0
    if quoted_ns <= last_ns:
        _put_at(self, at.quoted_ns, <object>PyTuple_GET_ITEM(event, 8))
    _put_at(
        self,
        at.quote,
        (
            <object>PyTuple_GET_ITEM(event, 3),
            <object>PyTuple_GET_ITEM(event, 4),
            <object>PyTuple_GET_ITEM(event, 5),
            <object>PyTuple_GET_ITEM(event, 6),
        ),
    )
    _put_at(self, at.last_quote, quote)
    return 1


def best(self):
    """See ``Readings.best``."""
    cdef PyObject *quote
    if not _is_market(self):
        return plain_best(self)
    quote = _at(self, slots.market.quote)
    if quote != <PyObject *>None and quote != NULL:
        return <object>quote
    return (<Book>_at(self, slots.market.book)).best()


# --- trades ---------------------------------------------------------------------------------------


def on_trade(self, trade):
    """See ``MarketBook.on_trade``."""
    return True if _trade(self, trade) else plain_trade(self, trade)


cdef bint _trade(object self, object trade) except -1:
    """True for a new one; False where it is not plain, and nothing was done."""
    cdef int64_t stamp = 0, recv_ns = 0, last_ns = 0, exchange_ns = 0, traded_ns = 0
    cdef int64_t least = 0, known = 0, left = 0, happened = 0, newest = 0, cell = 0, seen = 0
    cdef double size, traded
    cdef bint smaller
    cdef PyObject *event = <PyObject *>trade
    cdef PyObject *name
    cdef PyObject *young
    cdef PyObject *side
    cdef PyObject *found
    cdef PyObject *value
    cdef MarketSlots *at = &slots.market
    cdef object news, flow
    if not _is_market(self) or CITADEL_TYPE(event) != <PyObject *>trade_type:
        return False
    name = PyTuple_GET_ITEM(event, 2)
    side = PyTuple_GET_ITEM(event, 5)
    value = PyTuple_GET_ITEM(event, 4)
    news = <object>_at(self, at.news_of)
    flow = <object>_at(self, at.flow)
    young = _at(news, slots.young)
    if (
        not PyFloat_CheckExact(value)
        or PyTuple_GET_ITEM(event, 8) != Py_False
        or not _whole(PyTuple_GET_ITEM(event, 6), &stamp)
        or not _whole(PyTuple_GET_ITEM(event, 7), &recv_ns)
        or stamp <= 0
        or recv_ns < 0
        or not <object>name
        or not _whole(_at(self, at.last_recv_ns), &last_ns)
        or not _whole(_at(self, at.exchange_ns), &exchange_ns)
        or not _whole(_at(self, at.traded_ns), &traded_ns)
        or not _whole(_at(news, slots.lag_ns), &known)
        or not _whole(_at(news, slots.left), &left)
        or not _whole(_at(news, slots.happened_ns), &newest)
        or not _whole(_at(flow, slots.cell), &cell)
        or not PyFloat_CheckExact(_at(self, at.traded))
        or not PyFloat_CheckExact(_at(flow, slots.sum))
        or PyDict_GET_SIZE(young) >= MOST_TRADES
    ):
        return False
    # How late it is by the smallest lag known; one that would be odd is checked in Python.
    least = last_ns - exchange_ns if exchange_ns else recv_ns - stamp
    smaller = least < known
    if smaller:
        if least < (known if known < 0 else 0) - STAMP_NS:
            return False
        known = least
    happened = stamp + known if recv_ns - stamp > known else recv_ns
    if happened < newest - LATE_NS:
        return False
    found = PyDict_GetItemWithError(young, name)
    if found == NULL:
        found = PyDict_GetItemWithError(_at(news, slots.older), name)
    if found != NULL:
        return False
    PyDict_SetItem(young, name, PyTuple_GET_ITEM(event, 6))
    if left == 1:
        news._left, news._lag_ns = samples
    else:
        _put_at(news, slots.left, PyLong_FromLongLong(left - 1))
        if smaller:
            _put_at(news, slots.lag_ns, PyLong_FromLongLong(least))
    if happened > newest:
        _put_at(news, slots.happened_ns, PyLong_FromLongLong(happened))
    size = PyFloat_AS_DOUBLE(value)
    traded = PyFloat_AS_DOUBLE(_at(self, at.traded)) + size
    _put_at(self, at.last_trade, trade)
    _put_at(self, at.news, trade)
    _put_at(self, at.traded, PyFloat_FromDouble(traded))
    if traded_ns <= last_ns and stamp > exchange_ns:
        _put_at(self, at.traded_ns, <object>PyTuple_GET_ITEM(event, 7))
    _add(flow, size if <object>side == "buy" else -size, <object>PyTuple_GET_ITEM(event, 7), recv_ns)
    return True


# --- changes of the book --------------------------------------------------------------------------


cdef inline bint _numbered(object judge, const JudgeSlots *at, PyObject *event, int64_t *last, int64_t *seq) except -1:
    """The number of the last update and of this one."""
    return _whole(_at(judge, at.last), last) and _whole(PyTuple_GET_ITEM(event, 4), seq) and last[0] >= 0


cdef bint _follows(object judge, PyObject *event) except -1:
    """Whether a change is the next one by its numbers, which are noted then; else nothing is done."""
    cdef PyObject *kind = CITADEL_TYPE(<PyObject *>judge)
    cdef int64_t last = 0, seq = 0, other = 0
    cdef const JudgeSlots *at
    if kind == <PyObject *>judge_types[0] or kind == <PyObject *>judge_types[1]:
        at = &slots.spot if kind == <PyObject *>judge_types[0] else &slots.futures
        if not _numbered(judge, at, event, &last, &seq) or seq <= last:
            return False
        if at == &slots.spot:
            if not _whole(PyTuple_GET_ITEM(event, 3), &other) or other != last + 1:
                return False
        elif not _whole(PyTuple_GET_ITEM(event, 5), &other) or other != last:
            return False
        _put_at(judge, at.bridged, True)
    elif kind == <PyObject *>judge_types[2]:
        at = &slots.chain
        if not _numbered(judge, at, event, &last, &seq):
            return False
        if not _whole(PyTuple_GET_ITEM(event, 5), &other) or other != last:
            return False
    elif kind == <PyObject *>judge_types[3]:
        at = &slots.contiguous
        if not _numbered(judge, at, event, &last, &seq) or seq != last + 1:
            return False
    elif kind == <PyObject *>judge_types[4]:
        if not _numbered(judge, &slots.connection, event, &last, &seq) or seq < last:
            return False
        _put_at(judge, slots.connection.last, <object>PyTuple_GET_ITEM(event, 4))
        return True
    elif kind == <PyObject *>judge_types[5]:
        if _at(judge, slots.ready) != Py_True:
            return False
        _put_at(judge, slots.proves, False)
        return True
    else:
        return False
    _put_at(judge, at.last, <object>PyTuple_GET_ITEM(event, 4))
    _put_at(judge, at.old, ZERO)
    if at.remember >= 0:
        (<object>_at(judge, at.remember))(<object>PyTuple_GET_ITEM(event, 4))
    return True


def on_depth(self, update):
    """See ``MarketBook.on_depth``."""
    cdef int change = _depth(self, update)
    return plain_depth(self, update) if change < 0 else change


cdef inline void _note_places(PyObject *symbol, PyObject *market, PyObject *judge, PyObject *book) noexcept:
    """Where this market lies, so that it is fetched while its next frame is read."""
    cdef Places *at = _places_of(<size_t>symbol)
    if at == NULL:
        return
    at.symbol = <size_t>symbol
    at.market = <size_t>market
    at.judge = <size_t>judge
    at.book = <size_t>book
    _near(&(<Book>book)._bids, &at.bids, &at.bid_sizes)
    _near(&(<Book>book)._asks, &at.asks, &at.ask_sizes)


cdef inline void _near(const Side *side, size_t *keys, size_t *sizes) noexcept:
    """Where the levels next to the best are: of a window their sizes and bits."""
    cdef Py_ssize_t last = (side.high - 1) * <Py_ssize_t>sizeof(double)
    if side.window.top >= 0:
        keys[0] = <size_t>side.window.sizes + <size_t>side.window.top * sizeof(double)
        sizes[0] = <size_t>side.window.words + (<size_t>side.window.top >> 6) * sizeof(uint64_t)
    else:
        keys[0] = <size_t>side.keys + <size_t>last
        sizes[0] = <size_t>side.sizes + <size_t>last


cdef int _depth(object self, object update) except -2:
    """What has changed; -1 where the update is not plain, and nothing was done."""
    cdef PyObject *event = <PyObject *>update
    cdef MarketSlots *at = &slots.market
    cdef int64_t deltas = 0, quote_seq = 0, last_seq = 0, recv_ns = 0, before_ns = 0
    cdef PyObject *quote
    cdef Level bid, ask
    cdef Book book
    if (
        not _is_market(self)
        or CITADEL_TYPE(event) != <PyObject *>depth_type
        or PyTuple_GET_ITEM(event, 2) != Py_False
        or _at(self, at.state) != <PyObject *>LIVE
        or _at(self, at.recent) != <PyObject *>None
        or not _whole(_at(self, at.deltas), &deltas)
        or not _whole(_at(self, at.quote_seq), &quote_seq)
        or not _whole(PyTuple_GET_ITEM(event, 4), &last_seq)
        or not _whole(PyTuple_GET_ITEM(event, 10), &recv_ns)
    ):
        return -1
    quote = _at(self, at.last_quote)
    if quote != <PyObject *>None and not _whole(PyTuple_GET_ITEM(quote, 8), &before_ns):
        return -1
    if not _follows(<object>_at(self, at.judge_of), event):
        return -1
    book = <Book>_at(self, at.book)
    _note_places(PyTuple_GET_ITEM(event, 1), <PyObject *>self, _at(self, at.judge_of), _at(self, at.book))
    _put_at(self, at.useless_ns, ZERO)
    book._update(
        <object>PyTuple_GET_ITEM(event, 7), <object>PyTuple_GET_ITEM(event, 8), <object>PyTuple_GET_ITEM(event, 11)
    )
    _put_at(self, at.last_seq, <object>PyTuple_GET_ITEM(event, 4))
    _put_at(self, at.last_recv_ns, <object>PyTuple_GET_ITEM(event, 10))
    _put_at(self, at.exchange_ns, <object>PyTuple_GET_ITEM(event, 9))
    _put_at(self, at.deltas, PyLong_FromLongLong(deltas + 1))
    quote = _at(self, at.quote)
    if _at(self, at.quote) != <PyObject *>None and (quote_seq <= last_seq or recv_ns - before_ns > QUOTE_NS):
        _put_at(self, at.quote, None)
    if _at(self, at.proving) != Py_False and not _summed(self, book, event):
        if not self._proven(update):
            return self._gap(self._checksum.reason if self._checksum is not None else "")
    if _first(&book._bids, &bid) and _first(&book._asks, &ask) and bid.key >= -ask.key:
        return self._cross(<object>PyTuple_GET_ITEM(event, 10))
    return UPDATED


cdef bint _summed(object market, Book book, PyObject *event) except -1:
    """Whether the venue's checksum is the book's; False where that is not known here."""
    cdef MarketSlots *at = &slots.market
    cdef object checksum = <object>_at(market, at.checksum)
    cdef int64_t depth = 0, covers = 0, expected = 0, passed = 0, count = 0
    if (
        checksum is None
        or not _whole(PyTuple_GET_ITEM(event, 6), &expected)
        or not _whole(PyTuple_GET_ITEM(event, 12), &covers)
        or not _whole(_at(market, at.depth), &depth)
        or not _whole(_at(checksum, slots.passed), &passed)
        or not _whole(_at(checksum, slots.count), &count)
        or covers
    ):
        return False
    if depth:
        _truncate(&book._bids, depth)
        _truncate(&book._asks, depth)
    if book._sum(<object>_at(checksum, slots.style) == "kraken", count) != <int64_t><uint32_t>expected:
        return False
    _put_at(market, at.unproven, False)
    _put_at(checksum, slots.passed, PyLong_FromLongLong(passed + 1))
    return True


# --- features -------------------------------------------------------------------------------------


def on_book(self, recv_ns):
    """See ``FlowFeatures.on_book``."""
    if not _feature(self, recv_ns):
        plain_book(self, recv_ns)


cdef bint _feature(object self, object recv_ns) except -1:
    """False where it is not plain, and nothing was done."""
    cdef object market, flow
    cdef double now[4]
    cdef double before[4]
    cdef double change = 0.0
    cdef int64_t at_ns = 0, last_ns = 0, grid = 0, cell = 0
    cdef MarketSlots *at = &slots.market
    cdef PyObject *value
    if CITADEL_TYPE(<PyObject *>self) != <PyObject *>features_type:
        return False
    market = <object>_at(self, slots.feature_market)
    if (
        not _is_market(market)
        or _at(market, at.state) != <PyObject *>LIVE
        or not _same_number(_at(market, at.resyncs), _at(self, slots.feature_resyncs))
        or not _four(_at(self, slots.best), before)
        or not _best_of(<PyObject *>market, now)
    ):
        return False
    if _same(now, before):
        return True
    flow = <object>_at(self, slots.feature_flow)
    if (
        not _whole(<PyObject *>recv_ns, &at_ns)
        or not _whole(_at(self, slots.last_ns), &last_ns)
        or not _whole(_at(self, slots.grid), &grid)
        or not _whole(_at(flow, slots.cell), &cell)
        or not PyFloat_CheckExact(_at(flow, slots.sum))
        or at_ns < last_ns
        or at_ns < 0
        or at_ns // GRID_NS > grid
    ):
        return False
    if now[0] >= before[0]:
        change += now[1]
    if now[0] <= before[0]:
        change -= before[1]
    if now[2] <= before[2]:
        change -= now[3]
    if now[2] >= before[2]:
        change += before[3]
    _put_at(self, slots.last_ns, recv_ns)
    _add(flow, change, recv_ns, at_ns)
    value = _at(market, at.quote)
    if value != <PyObject *>None:
        _put_at(self, slots.best, <object>value)
    else:
        _put_at(self, slots.best, (now[0], now[1], now[2], now[3]))
    return True


cdef inline bint _same_number(PyObject *one, PyObject *other) except -1:
    cdef int64_t first = 0, second = 0
    return _whole(one, &first) and _whole(other, &second) and first == second


# --- the engine's part ----------------------------------------------------------------------------


cdef int _take(object inst, PyObject *kind, object event) except -2:
    """Apply an event of one of the three kinds to the market of an instrument, and to its features.

    Returns -1 where it is not plain, and nothing was done; 0 for a quote that is no news; else what has changed.
    """
    cdef PyObject *received
    cdef PyObject *features
    cdef int change
    if kind == <PyObject *>quote_type:
        change = _quote(<object>_at(inst, slots.inst_market), event)
        received = PyTuple_GET_ITEM(<PyObject *>event, 8)
    elif kind == <PyObject *>depth_type:
        change = _depth(<object>_at(inst, slots.inst_market), event)
        received = PyTuple_GET_ITEM(<PyObject *>event, 10)
    else:
        return UPDATED if _trade(<object>_at(inst, slots.inst_market), event) else -1
    if change < 0:
        return -1
    features = _at(inst, slots.features)
    if features != <PyObject *>None and not _feature(<object>features, <object>received):
        (<object>features).on_book(<object>received)
    if change:
        _put_at(inst, slots.dirty, True)
    return change


cdef class MarketEvents:
    """What ``Engine`` does for a plain event of a market on which no order of ours is open.

    Args:
        states: (venue, symbol) -> the state of an instrument. None is taken out or replaced later.
    """

    cdef dict _states
    # Events of one stream have the very same texts for their venue and symbol: (venue, symbol, state), by the
    # address of the symbol's text, which is kept so that no other text can have it.
    cdef list _known
    cdef size_t _mask

    def __init__(self, dict states):
        cdef Py_ssize_t room = 16
        while room < 4 * len(states) and room < 8192:
            room *= 2
        self._states = states
        self._known = [None] * room
        self._mask = <size_t>(room - 1)

    cdef inline PyObject *_state(self, PyObject *venue, PyObject *symbol) except? NULL:
        """The state of this market; NULL when there is none."""
        cdef size_t address = <size_t>symbol, at = ((address >> 4) ^ (address >> 11)) & self._mask
        cdef PyObject *known = PyList_GET_ITEM(<PyObject *>self._known, at)
        cdef PyObject *found
        if known != <PyObject *>None and PyTuple_GET_ITEM(known, 1) == symbol and PyTuple_GET_ITEM(known, 0) == venue:
            return PyTuple_GET_ITEM(known, 2)
        key = (<object>venue, <object>symbol)
        found = PyDict_GetItemWithError(<PyObject *>self._states, <PyObject *>key)
        if found == NULL or CITADEL_TYPE(found) != <PyObject *>states_type:
            return NULL
        self._known[at] = (<object>venue, <object>symbol, <object>found)
        return found

    def take(self, event):
        """Returns 0 where the event is no plain one, and nothing was done; else what has changed: 1 for nothing that
        anybody must be told.
        """
        cdef PyObject *kind = CITADEL_TYPE(<PyObject *>event)
        cdef PyObject *found
        cdef object inst
        cdef int change
        if kind != <PyObject *>quote_type and kind != <PyObject *>trade_type and kind != <PyObject *>depth_type:
            return 0
        found = self._state(PyTuple_GET_ITEM(<PyObject *>event, 0), PyTuple_GET_ITEM(<PyObject *>event, 1))
        if found == NULL:
            return 0
        inst = <object>found
        if PyList_GET_SIZE(_at(inst, slots.parents)) or (
            PyDict_GET_SIZE(_at(<object>_at(inst, slots.held), slots.waiting))
        ):
            return 0
        change = _take(inst, kind, event)
        if change < 0:
            return 0
        return change if change > UPDATED else UPDATED


# --- taking over ----------------------------------------------------------------------------------

cdef tuple samples = ()


cdef Py_ssize_t _slot(type of, str name) except -1:
    cdef Py_ssize_t found = citadel_slot(getattr(of, name))
    if found < 0:
        raise TypeError(f"{of.__name__} has no slot {name}")
    return found


cdef JudgeSlots _judge_slots(type of, bint bridged, bint remember) except *:
    cdef JudgeSlots found
    found.last = _slot(of, "_last")
    found.old = _slot(of, "_old")
    found.bridged = _slot(of, "_bridged") if bridged else -1
    found.remember = _slot(of, "_remember") if remember else -1
    return found


def take_over_market(market, judges, checksum, check, sums, news, events, news_samples):
    """Let the methods above be those of ``MarketBook``, and give what they stand for.

    Args:
        market: the class.
        judges: the classes of ``core.marketdata.sequencing`` that number: both of Binance, Chain, Contiguous,
            ConnSeq and Unnumbered.
        checksum: the class.
        check: the class of cross-checks.
        sums: the class of rolling sums.
        news: the class of the trades that were seen.
        events: DepthUpdate, QuoteTick and TradeTick.
        news_samples: how many trades a smallest lag holds for, and what it is before it is known.
    """
    global market_type, depth_type, quote_type, trade_type, judge_types, samples
    global plain_depth, plain_quote, plain_trade, plain_best
    cdef MarketSlots *at = &slots.market
    spot, futures, chain, contiguous, connection, unnumbered = judges
    at.quote, at.book, at.flow = _slot(market, "_quote"), _slot(market, "book"), _slot(market, "_flow")
    at.checksum, at.depth = _slot(market, "_checksum"), _slot(market, "_depth")
    at.judge_of, at.last_quote = _slot(market, "_integrity"), _slot(market, "_last_quote")
    at.news_of, at.proving = _slot(market, "_news"), _slot(market, "_proving")
    at.quote_seq, at.quoted_ns = _slot(market, "_quote_seq"), _slot(market, "_quoted_ns")
    at.recent, at.traded_ns = _slot(market, "_recent"), _slot(market, "_traded_ns")
    at.unproven, at.useless_ns = _slot(market, "_unproven"), _slot(market, "_useless_ns")
    at.deltas, at.exchange_ns = _slot(market, "deltas"), _slot(market, "exchange_ns")
    at.last_recv_ns, at.last_seq = _slot(market, "last_recv_ns"), _slot(market, "last_seq")
    at.last_trade, at.news = _slot(market, "last_trade"), _slot(market, "news")
    at.resyncs, at.state, at.traded = _slot(market, "resyncs"), _slot(market, "state"), _slot(market, "traded")
    slots.spot = _judge_slots(spot, True, True)
    slots.futures = _judge_slots(futures, True, True)
    slots.chain = _judge_slots(chain, False, True)
    slots.contiguous = _judge_slots(contiguous, False, False)
    slots.connection.last = _slot(connection, "_last")
    slots.ready, slots.proves = _slot(unnumbered, "_ready"), _slot(unnumbered, "proves")
    slots.style, slots.count = _slot(checksum, "_style"), _slot(checksum, "_count")
    slots.passed = _slot(checksum, "passed")
    at.check, at.mute, slots.poll = _slot(market, "_check"), _slot(market, "mute"), _slot(check, "poll")
    slots.cell, slots.sum = _slot(sums, "_cell"), _slot(sums, "_sum")
    slots.young, slots.older = _slot(news, "_young"), _slot(news, "_older")
    slots.lag_ns, slots.left = _slot(news, "_lag_ns"), _slot(news, "_left")
    slots.happened_ns = _slot(news, "happened_ns")
    depth_type, quote_type, trade_type = events
    judge_types, samples = tuple(judges), tuple(news_samples)
    plain_depth, plain_quote, plain_trade = market.on_depth, market.on_quote, market.on_trade
    plain_best = market.best
    market_type = market
    market.on_depth, market.on_quote, market.on_trade, market.best = on_depth, on_quote, on_trade, best


def take_over_features(features):
    """Let ``on_book`` above be that of ``FlowFeatures``; its market's class must have been taken over."""
    global features_type, plain_book
    slots.feature_market, slots.feature_flow = _slot(features, "_market"), _slot(features, "_flow")
    slots.best, slots.grid = _slot(features, "_best"), _slot(features, "_grid")
    slots.last_ns, slots.feature_resyncs = _slot(features, "_last_ns"), _slot(features, "_resyncs")
    plain_book = features.on_book
    features_type = features
    features.on_book = on_book


def take_over_states(states, held):
    """Where an instrument's state has its market; its class, and that of its held stops."""
    global states_type
    slots.inst_market, slots.features = _slot(states, "market"), _slot(states, "features")
    slots.dirty, slots.parents = _slot(states, "dirty"), _slot(states, "parents")
    slots.held, slots.waiting = _slot(states, "held"), _slot(held, "waiting")
    states_type = states
