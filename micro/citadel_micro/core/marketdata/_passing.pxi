# Frames that change nothing that anybody looks at, included by ``_book`` after ``_live``.
#
# ``pass_over`` applies the plain events of one market to it, one after the other, for as long as nobody would do
# anything about them: who looks at what is said by ``core.marketdata.passing``. It stops at the first event that is
# not plain, which it leaves alone, and behind the first that somebody looks at.

cdef enum:
    MOST_WATCHED = 16
    MOVED = 8  # beside Change: somebody looks at what has changed

cdef int64_t FAR_NS = <int64_t>1 << 62  # a time that never comes

cdef struct Watched:
    # best prices that must stay, and whether their sizes must, too
    bint has_best, sizes
    double best[4]
    # our resting orders: side, price, and the size that was shown there, in lots
    Py_ssize_t orders
    bint buy[MOST_WATCHED]
    double price[MOST_WATCHED]
    double shown[MOST_WATCHED]
    # levels that must not vanish: side of the book, and price
    Py_ssize_t levels
    bint bid[MOST_WATCHED]
    double level[MOST_WATCHED]
    double lot, tick


cdef struct Ticks:
    int64_t next_ns, step_ns, until_ns, fresh_ns
    int64_t beat_ns, beat_step_ns
    double mid  # at the last heartbeat that was skipped; NaN while none was


cdef bint _calm(object market, double *mid) noexcept:
    """Whether a tick has nothing to do for a book that is not old: it is LIVE, two-sided, and nobody doubts it."""
    cdef double now[4]
    if (
        not _is_market(market)
        or _at(market, slots.market.state) != <PyObject *>LIVE
        or _at(market, slots.market.mute) != Py_False
        or _at(<object>_at(market, slots.market.check), slots.poll) != <PyObject *>None
    ):
        return False
    if not _best_of(<PyObject *>market, now) or not now[0] < now[2]:
        return False
    mid[0] = (now[0] + now[2]) / 2
    return True


cdef bint _skipped(Ticks *ticks, object market, int64_t now_ns) except -1:
    """Whether nothing comes of the ticks up to now, which are left behind then."""
    cdef int64_t last_ns, recv_ns = 0, at_ns
    cdef double mid = 0.0
    if now_ns < ticks.next_ns:
        return True
    last_ns = ticks.next_ns + (now_ns - ticks.next_ns) // ticks.step_ns * ticks.step_ns
    if (
        last_ns >= ticks.until_ns
        or not _whole(_at(market, slots.market.last_recv_ns), &recv_ns)
        or recv_ns < 0
        or last_ns - recv_ns >= ticks.fresh_ns
        or not _calm(market, &mid)
    ):
        return False
    while ticks.beat_ns <= last_ns:
        at_ns = ticks.next_ns
        if ticks.beat_ns > at_ns:  # the first tick at or after it
            at_ns = last_ns - (last_ns - ticks.beat_ns) // ticks.step_ns * ticks.step_ns
        ticks.beat_ns = at_ns + ticks.beat_step_ns
        ticks.mid = mid
    ticks.next_ns = last_ns + ticks.step_ns
    return True


cdef object _skips(const Ticks *ticks):
    """The next tick, the next heartbeat, and the mid at the last one that was skipped, or None."""
    return ticks.next_ns, ticks.beat_ns, None if ticks.mid != ticks.mid else ticks.mid


cdef int _read_watched(Watched *to, object watched) except -1:
    """What ``core.marketdata.passing.Watched`` says."""
    cdef Py_ssize_t i = 0
    best, sizes, orders, levels, lot, tick = watched
    to.has_best = best is not None
    if to.has_best:
        to.best[0], to.best[1], to.best[2], to.best[3] = best
    if len(orders) > MOST_WATCHED or len(levels) > MOST_WATCHED:
        raise ValueError("too much is watched")
    to.sizes = sizes
    to.lot = lot
    to.tick = tick
    to.orders = len(orders)
    for i in range(to.orders):
        to.buy[i], to.price[i], to.shown[i] = orders[i]
    to.levels = len(levels)
    for i in range(to.levels):
        to.bid[i], to.level[i] = levels[i]
    return 0


cdef bint _unmoved(const Watched *watched, object market, bint depth) noexcept:
    """Whether nothing of what is watched has changed with a change of the book or its best prices."""
    cdef double now[4]
    cdef double price, shown
    cdef Py_ssize_t i
    cdef Book book
    cdef Side *side
    if not _best_of(<PyObject *>market, now):
        return False
    if watched.has_best:
        if now[0] != watched.best[0] or now[2] != watched.best[2]:
            return False
        if watched.sizes and (now[1] != watched.best[1] or now[3] != watched.best[3]):
            return False
    book = <Book>_at(market, slots.market.book)
    for i in range(watched.orders):
        price = watched.price[i]
        if watched.buy[i]:
            if now[2] <= price:
                return False
            if price > now[0]:
                shown = 0.0
            elif price == now[0]:
                shown = now[1]
            elif depth:
                shown = _size_at(&book._bids, price)
            else:
                continue
        else:
            if now[0] >= price:
                return False
            if price < now[2]:
                shown = 0.0
            elif price == now[2]:
                shown = now[3]
            elif depth:
                shown = _size_at(&book._asks, -price)
            else:
                continue
        if shown / watched.lot != watched.shown[i]:
            return False
    for i in range(watched.levels):
        price = watched.level[i]
        if watched.bid[i]:
            shown = now[1]
            if price != now[0]:
                if now[0] - price <= 0.75 * watched.tick:
                    return False
                shown = _size_at(&book._bids, price)
        else:
            shown = now[3]
            if price != now[2]:
                if price - now[2] <= 0.75 * watched.tick:
                    return False
                shown = _size_at(&book._asks, -price)
        if not shown / watched.lot > 0.0:
            return False
    return True


cdef bint _unreached(const Watched *watched, PyObject *trade) except -1:
    """Whether a trade is at a worse price than every order of ours that it could have met."""
    cdef Py_ssize_t i
    cdef double price
    cdef bint seller
    if watched.orders == 0:
        return True
    if not PyFloat_CheckExact(PyTuple_GET_ITEM(trade, 3)):
        return False
    price = PyFloat_AS_DOUBLE(PyTuple_GET_ITEM(trade, 3))
    seller = <object>PyTuple_GET_ITEM(trade, 5) == "sell"
    for i in range(watched.orders):
        if watched.buy[i] != seller:
            continue
        if not ((watched.price[i] < price) if seller else (price < watched.price[i])):
            return False
    return True


cdef inline PyObject *_only(PyObject *events, bint *none) noexcept:
    """The only event of a frame; NULL where it has several, or none, which is told."""
    cdef Py_ssize_t count
    none[0] = False
    if PyTuple_CheckExact(events):
        count = PyTuple_GET_SIZE(events)
        none[0] = count == 0
        return PyTuple_GET_ITEM(events, 0) if count == 1 else NULL
    if PyList_CheckExact(events):
        count = PyList_GET_SIZE(events)
        none[0] = count == 0
        return PyList_GET_ITEM(events, 0) if count == 1 else NULL
    return NULL


def pass_over(steps, inst, watched, ticks, int64_t now_ns, int64_t until_ns, first=None):
    """See ``core.marketdata.passing``."""
    cdef Watched what
    cdef Ticks tick
    cdef Py_ssize_t frames = 0
    cdef int64_t recv_ns = 0, later_ns
    cdef PyObject *at
    cdef PyObject *event
    cdef PyObject *venue = NULL
    cdef PyObject *symbol = NULL
    cdef PyObject *kind
    cdef int change
    cdef bint none = False
    cdef object key, names = None
    cdef object step = first
    if CITADEL_TYPE(<PyObject *>inst) != <PyObject *>states_type:
        raise TypeError("inst is no InstrumentState")
    _read_watched(&what, watched)
    tick.next_ns, tick.step_ns, tick.until_ns, tick.fresh_ns, tick.beat_ns, tick.beat_step_ns = ticks
    tick.mid = NAN
    if tick.next_ns < 0 or not 0 < tick.step_ns < FAR_NS or not 0 < tick.beat_step_ns < FAR_NS or until_ns > FAR_NS:
        raise ValueError("ticks cannot be counted")
    key = inst.key
    market = <object>_at(inst, slots.inst_market)
    while True:
        if step is None:
            step = next(steps, None)
            if step is None:
                return frames, now_ns, None, None, 0, _skips(&tick)
        at = <PyObject *>step
        if (
            not PyTuple_CheckExact(at)
            or PyTuple_GET_SIZE(at) != 2
            or not _whole(PyTuple_GET_ITEM(at, 0), &recv_ns)
        ):
            return frames, now_ns, step, None, 0, _skips(&tick)
        later_ns = recv_ns if recv_ns > now_ns else now_ns
        if later_ns >= until_ns or not _skipped(&tick, market, later_ns):
            return frames, now_ns, step, None, 0, _skips(&tick)
        event = _only(PyTuple_GET_ITEM(at, 1), &none)
        if none:
            frames += 1
            now_ns = later_ns
            step = None
            continue
        if event == NULL:
            return frames, now_ns, step, None, 0, _skips(&tick)
        kind = CITADEL_TYPE(event)
        if kind != <PyObject *>quote_type and kind != <PyObject *>trade_type and kind != <PyObject *>depth_type:
            return frames, now_ns, step, None, 0, _skips(&tick)
        if PyTuple_GET_ITEM(event, 0) != venue or PyTuple_GET_ITEM(event, 1) != symbol:
            if (<object>PyTuple_GET_ITEM(event, 0), <object>PyTuple_GET_ITEM(event, 1)) != key:
                return frames, now_ns, step, None, 0, _skips(&tick)
            # Readers give the same objects again and again: they are compared once, and kept for that.
            venue, symbol = PyTuple_GET_ITEM(event, 0), PyTuple_GET_ITEM(event, 1)
            names = (<object>venue, <object>symbol)
        change = _take(inst, kind, <object>event)
        if change < 0:
            return frames, now_ns, step, None, 0, _skips(&tick)
        frames += 1
        now_ns = later_ns
        if change == UPDATED:
            if kind == <PyObject *>trade_type:
                if _unreached(&what, event):
                    change = 0
            elif _unmoved(&what, market, kind == <PyObject *>depth_type):
                change = 0
        if change:
            return frames, now_ns, None, <object>event, change | MOVED, _skips(&tick)
        step = None
