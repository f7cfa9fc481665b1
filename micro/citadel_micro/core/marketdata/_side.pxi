# One side of a book, included by ``_book``.
#
# A side is a sorted array with its best level last, so that what happens near the best price, which is nearly
# everything, moves few levels. Prices of asks are kept negated, so that both sides are one piece of code.
# Digits, where a venue's checksum is over them, lie beside (``_digits``). The near part of a deep side without
# digits is in a window of ticks (``_window``) instead; every level of the window is better than every level
# of the array.

cdef enum:
    NEAR = 8  # levels next to the best that are searched first: a line of the cache, or two
    DEEP = 128  # levels of a side that are worth a window
    FAR = 256  # levels beyond a window that are worth a larger one
    PLACES = 12  # decimal places of a tick at most
    TRIES = 8  # times that a tick is learned between two snapshots

cdef double EXACT = 4503599627370496.0  # 2**52: below it ticks and their halves are exact
cdef double POWERS[PLACES + 1]
POWERS[:] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12]


cdef struct Side:
    # What every change needs comes first: one of a thousand books is in no cache, and each line of it is waited for.
    double sign  # 1 for bids, -1 for asks: key = sign * price, and the best key is the last
    double *keys
    double *sizes
    Py_ssize_t low  # the levels are [low, high)
    Py_ssize_t high
    Window window
    Py_ssize_t room
    int tries  # how often a tick may still be learned before the next snapshot
    Digits digits
    char *joined  # the digits of the best levels, for a checksum
    Py_ssize_t joined_room  # levels that fit
    Py_ssize_t joined_length
    Py_ssize_t joined_for  # of how many levels it is now; 0 when it must be made anew
    double joined_worst  # a change of a worse level leaves it as it is
    uint32_t joined_sum


cdef void _start(Side *side, double sign) noexcept:
    side.sign = sign
    side.keys = NULL
    side.sizes = NULL
    side.digits.lengths = NULL
    side.digits.texts = NULL
    _no_digits(&side.digits)
    side.low = side.high = side.room = 0
    side.tries = TRIES
    side.joined = NULL
    side.joined_room = side.joined_for = 0
    side.window.open = False
    side.window.sizes = NULL
    side.window.words = NULL
    side.window.slots = 0
    side.window.top = -1
    side.window.count = 0


cdef void _free(Side *side) noexcept:
    PyMem_Free(side.joined)
    PyMem_Free(side.window.sizes)
    PyMem_Free(side.keys)
    PyMem_Free(side.sizes)
    _no_digits(&side.digits)


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
        if side.digits.lengths != NULL:
            memmove(side.digits.lengths + to, side.digits.lengths + at, count * sizeof(Lengths))


cdef int _make_room(Side *side) except -1:
    """Space behind the best level."""
    if side.low > side.room // 8:
        _slide_to(side, side.low // 2)
        return 0
    return _more_room(side)


cdef int _make_front(Side *side) except -1:
    """Space before the worst level: a snapshot begins with the best."""
    if side.room - side.high <= side.room // 8:
        _more_room(side)
    _slide_to(side, (side.room - side.high + 1) // 2)
    return 0


cdef inline void _slide_to(Side *side, Py_ssize_t low) noexcept nogil:
    """Move all levels within the arrays."""
    cdef Py_ssize_t count = side.high - side.low
    _shift(side, low, side.low, count)
    side.low = low
    side.high = low + count


cdef int _more_room(Side *side) except -1:
    cdef Py_ssize_t room = side.room + max(64, side.room // 4)
    cdef void *more
    more = PyMem_Realloc(side.keys, room * sizeof(double))
    if more == NULL:
        raise MemoryError
    side.keys = <double *>more
    more = PyMem_Realloc(side.sizes, room * sizeof(double))
    if more == NULL:
        raise MemoryError
    side.sizes = <double *>more
    if side.digits.on and not side.digits.whole:
        more = PyMem_Realloc(side.digits.lengths, room * sizeof(Lengths))
        if more == NULL:
            raise MemoryError
        side.digits.lengths = <Lengths *>more
    side.room = room
    return 0


cdef int _keep_whole(Side *side) except -1:
    """The text of every level, from now on."""
    cdef Digits *digits = &side.digits
    cdef Py_ssize_t count = side.high - side.low, at
    _place(digits, max(LEAST, digits.room, 2 * count), digits.high - digits.low, count - digits.high + digits.low)
    for at in range(side.high - 1 - (digits.high - digits.low), side.low - 1, -1):
        digits.low -= 1
        _write_level(
            &digits.texts[digits.low], side.sign * side.keys[at], side.sizes[at], digits.lengths[at]
        )
    digits.whole = True
    PyMem_Free(digits.lengths)
    digits.lengths = NULL
    return 0


cdef int _hold(Side *side, Py_ssize_t count) except -1:
    """The texts of so many of the best levels, which there are."""
    cdef Digits *digits = &side.digits
    cdef Py_ssize_t lack = count - (digits.high - digits.low), at
    if lack <= 0:
        return 0
    if lack > digits.low:
        _place(digits, max(digits.room, 2 * count), digits.high - digits.low, lack)
    for at in range(side.high - 1 - (count - lack), side.high - 1 - count, -1):
        digits.low -= 1
        _write_level(
            &digits.texts[digits.low], side.sign * side.keys[at], side.sizes[at], digits.lengths[at]
        )
    return 0


cdef int _note(Side *side, Py_ssize_t at, const Text *text, Given given, bint new) except -1:
    """The digits of a level that was just set; without a text they are not known."""
    cdef Digits *digits = &side.digits
    cdef Py_ssize_t better = side.high - 1 - at
    cdef Text unknown
    if text == NULL:
        unknown.size_length = unknown.price_length = 0
        text = &unknown
    if new:
        _text_in(digits, better, text)
    elif better < digits.high - digits.low:
        digits.texts[digits.high - 1 - better] = text[0]
    if digits.whole:
        return 0
    if text == &unknown or _shortens(text, side.sign * side.keys[at], side.sizes[at], given):
        digits.lengths[at].price = text.price_length
        digits.lengths[at].size = text.size_length
        return 0
    digits.lengths[at].size = 0
    _keep_whole(side)
    digits.texts[digits.high - 1 - better] = text[0]
    return 0


cdef int _set(Side *side, double price, double size, const Text *text, Given given) except -1:
    """One level to this size; 0 deletes it."""
    cdef double key = side.sign * price
    cdef Py_ssize_t at = _find(side, key)
    cdef bint new = False
    if at < side.high and side.keys[at] == key:
        if size == 0.0:
            if given != NONE:
                _text_out(&side.digits, side.high - 1 - at)
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
        if at - side.low < side.high - at:
            if side.low == 0:
                _make_front(side)
                at += side.low
            _shift(side, side.low - 1, side.low, at - side.low)
            side.low -= 1
            at -= 1
        else:
            if side.high == side.room:
                at -= side.low
                _make_room(side)
                at += side.low
            _shift(side, at + 1, at, side.high - at)
            side.high += 1
        side.keys[at] = key
        new = True
    side.sizes[at] = size
    if given != NONE:
        _note(side, at, text, given, new)
    return 0


# --- the window -----------------------------------------------------------------------------------


cdef void _clear(Side *side) noexcept:
    side.low = side.high = 0
    _no_digits(&side.digits)
    side.joined_for = 0
    side.window.open = False
    side.window.top = -1
    side.window.count = 0
    side.tries = TRIES


cdef inline Py_ssize_t _count(const Side *side) noexcept nogil:
    return side.high - side.low + side.window.count


cdef int _append(Side *side, double key, double size) except -1:
    """One level to the array, better than all of it."""
    if side.high == side.room:
        _make_room(side)
    side.keys[side.high] = key
    side.sizes[side.high] = size
    side.high += 1
    return 0


cdef int _give_up(Side *side, int slots) except -1:
    """The window's first slots to the array."""
    cdef Window *window = &side.window
    cdef int slot
    while window.count:
        slot = lowest_slot(window)
        if slot >= slots:
            break
        _append(side, key_at(window, slot), window.sizes[slot])
        set_slot(window, slot, 0.0)
    return 0


cdef int _close(Side *side) except -1:
    """All levels to the array: a price has come that is no slot's."""
    _give_up(side, side.window.slots)
    side.window.open = False
    return 0


cdef int _move(Side *side, int64_t best) except -1:
    """Let the window lie around its best price, given in ticks."""
    cdef Window *window = &side.window
    # Most changes are behind the best price, so that is put three quarters up.
    cdef int64_t base = (best - 3 * window.slots // 4) & ~<int64_t>63, by = base - window.base, ticks = 0
    if by > 0:
        _give_up(side, window.slots if by > window.slots else <int>by)
    slide(window, base)
    while side.low < side.high:
        ticks_of(window, side.keys[side.high - 1], &ticks)
        if ticks < base:
            break
        side.high -= 1
        set_slot(window, <int>(ticks - base), side.sizes[side.high])
    return 0


cdef bint _learn(Side *side) noexcept nogil:
    """The largest tick that all prices are multiples of; False when there is none."""
    cdef Window *window = &side.window
    cdef int places = 0
    cdef double whole = 0.0
    cdef int64_t step = 0, left, rest
    cdef Py_ssize_t i
    for i in range(side.low, side.high):
        while True:
            whole = <double><int64_t>(fabs(side.keys[i]) * POWERS[places] + 0.5)
            if whole / POWERS[places] == fabs(side.keys[i]):
                break
            places += 1
            if places > PLACES or fabs(side.keys[i]) * POWERS[places] >= EXACT:
                return False
    for i in range(side.low, side.high):
        if fabs(side.keys[i]) * POWERS[places] >= EXACT:
            return False
        if step == 1:
            continue
        left = <int64_t>(fabs(side.keys[i]) * POWERS[places] + 0.5)
        while left:
            rest = step % left
            step = left
            left = rest
    window.step = <double>step
    window.tens = POWERS[places]
    window.scale = window.tens / window.step
    window.most = min(EXACT / window.tens, EXACT / 32 / window.scale)
    return fabs(side.keys[side.low]) < window.most and fabs(side.keys[side.high - 1]) < window.most


cdef int _open(Side *side) except -1:
    """Begin a window, if a tick fits all prices."""
    cdef Window *window = &side.window
    cdef int64_t best = 0
    side.tries -= 1
    if not _learn(side) or not ticks_of(window, side.keys[side.high - 1], &best):
        return 0
    _begin(side, FEWEST, best)
    return 0


cdef int _begin(Side *side, int slots, int64_t best) except -1:
    """A window of so many slots around the best price, given in ticks; all levels are in the array."""
    cdef Window *window = &side.window
    cdef void *more
    if window.sizes == NULL or slots > window.slots:
        more = PyMem_Malloc(slots * sizeof(double) + (slots >> 6) * sizeof(uint64_t))
        if more == NULL:
            raise MemoryError
        PyMem_Free(window.sizes)
        window.slots = slots
        window.sizes = <double *>more
        window.words = <uint64_t *>(window.sizes + slots)
    empty(window)
    window.open = True
    window.base = 0
    _move(side, best)
    _trim(side)
    return 0


cdef Py_ssize_t _bytes(const Side *side) noexcept:
    """What its levels take."""
    cdef Py_ssize_t found = side.room * 2 * sizeof(double) + side.digits.room * sizeof(Text)
    if side.digits.lengths != NULL:
        found += side.room * sizeof(Lengths)
    return found + side.joined_room * 2 * DIGITS + side.window.slots * sizeof(double) + side.window.slots // 8


cdef int _trim(Side *side) except -1:
    """Give back the room of levels that are in the window now."""
    cdef Py_ssize_t count = side.high - side.low, room = max(64, 2 * count)
    cdef void *less
    if 2 * room > side.room:
        return 0
    _shift(side, 0, side.low, count)
    side.low, side.high = 0, count
    less = PyMem_Realloc(side.keys, room * sizeof(double))
    if less == NULL:
        raise MemoryError
    side.keys = <double *>less
    less = PyMem_Realloc(side.sizes, room * sizeof(double))
    if less == NULL:
        raise MemoryError
    side.sizes = <double *>less
    side.room = room
    return 0


cdef int _enlarge(Side *side) except -1:
    """A window of twice the slots: many levels are beyond this one."""
    cdef Window *window = &side.window
    cdef int64_t best = 0
    _close(side)
    ticks_of(window, side.keys[side.high - 1], &best)
    _begin(side, 2 * window.slots, best)
    return 0


cdef int _settle(Side *side) except -1:
    """After an update: open a window for a deep side, or move it behind a best price that has left it."""
    cdef Window *window = &side.window
    cdef int64_t best = 0
    if not window.open:
        if side.high - side.low >= DEEP and side.tries and not side.digits.on:
            _open(side)
    elif window.slots < MOST and side.high - side.low > FAR and window.top >= 0:
        _enlarge(side)
    elif window.top < window.slots // 2 and side.low < side.high:
        if window.top >= 0:
            best = window.base + window.top
        else:
            ticks_of(window, side.keys[side.high - 1], &best)
        _move(side, best)
    return 0


cdef int _set_near(Side *side, double price, double size) except -1:
    """As ``_set``, of a side with a window."""
    cdef Window *window = &side.window
    cdef double key = side.sign * price
    cdef int64_t ticks = 0
    if not ticks_of(window, key, &ticks):
        if size != 0.0:
            _close(side)
            return _set(side, price, size, NULL, NONE)
        return 0
    if ticks < window.base:
        return _set(side, price, size, NULL, NONE)
    if ticks >= window.base + window.slots:
        if size == 0.0:
            return 0
        _move(side, ticks)
    set_slot(window, <int>(ticks - window.base), size)
    return 0


cdef inline int _put(Side *side, double price, double size) except -1:
    """One level of a side without digits."""
    if side.window.open:
        return _set_near(side, price, size)
    return _set(side, price, size, NULL, NONE)


cdef int _begin_digits(Side *side) except -1:
    """Digits have come: from now on every level has lengths of them. They are known of none yet."""
    if side.window.open:
        _close(side)
    if side.room:
        side.digits.lengths = <Lengths *>PyMem_Calloc(side.room, sizeof(Lengths))
        if side.digits.lengths == NULL:
            raise MemoryError
    _place(&side.digits, LEAST, 0, 0)
    side.digits.on = True
    return 0


# --- updates --------------------------------------------------------------------------------------


cdef int _forget(Side *side, levels) except -1:
    """Give up the joined digits if one of these changes is of a level in them."""
    cdef Py_ssize_t i
    if side.joined_for == 0:
        return 0
    if type(levels) is Levels:
        for i in range((<Levels>levels).count):
            if not side.sign * (<Levels>levels).values[2 * i] < side.joined_worst:
                side.joined_for = 0
                return 0
    elif levels:
        side.joined_for = 0
    return 0


cdef Py_ssize_t _begin_with(Side *side, Levels levels) except -1:
    """The levels that an empty side begins with, as far as they come from the best to the worst: how many."""
    cdef Py_ssize_t count = 0, i
    cdef double key, last = INFINITY
    while count < levels.count:
        key = side.sign * levels.values[2 * count]
        if not key < last or levels.values[2 * count + 1] == 0.0:
            break
        last = key
        count += 1
    while side.room < count + count // 8:
        _more_room(side)
    side.low = (side.room - count) // 2
    side.high = side.low + count
    for i in range(count):
        side.keys[side.high - 1 - i] = side.sign * levels.values[2 * i]
        side.sizes[side.high - 1 - i] = levels.values[2 * i + 1]
    return count


cdef int _apply(Side *side, levels, texts, bint keep) except -1:
    cdef Py_ssize_t i
    cdef Levels read
    cdef Text text
    if keep:
        _forget(side, levels)
    if keep and not side.digits.on:
        if texts is None:
            keep = False  # as long as no digits have come
        else:
            _begin_digits(side)
    if type(levels) is Levels:
        read = <Levels>levels
        # Digits that were read with the levels go with them, unless the update leaves them out.
        if keep and texts is not None and read.texts != NULL:
            for i in range(read.count):
                _set(side, read.values[2 * i], read.values[2 * i + 1], &read.texts[i], READ)
        elif keep:
            for i in range(read.count):
                _set(side, read.values[2 * i], read.values[2 * i + 1], NULL, TOLD)
        else:
            i = 0
            if side.low == side.high and not side.window.open and read.count > NEAR:
                i = _begin_with(side, read)
            for i in range(i, read.count):
                _put(side, read.values[2 * i], read.values[2 * i + 1])
    elif keep and texts is not None:
        for (price, size), (price_text, size_text) in zip(levels, texts, strict=True):
            _set_text(&text, price_text, size_text)
            _set(side, price, size, &text, TOLD)
    elif keep:
        for price, size in levels:
            _set(side, price, size, NULL, TOLD)
    else:
        for price, size in levels:
            _put(side, price, size)
    return _settle(side)


cdef void _truncate(Side *side, Py_ssize_t depth) noexcept:
    """Keep the best levels."""
    cdef Py_ssize_t excess = _count(side) - depth
    cdef Py_ssize_t listed = side.high - side.low
    if excess <= 0:
        return
    if depth < side.joined_for:
        side.joined_for = 0
    if listed >= excess:
        side.low += excess
        side.digits.low = max(side.digits.low, side.digits.high - (listed - excess))
        return
    side.low = side.high
    for _ in range(excess - listed):
        set_slot(&side.window, lowest_slot(&side.window), 0.0)


# --- reading --------------------------------------------------------------------------------------


cdef struct Level:
    double key
    double size
    int slot  # where it is in the window; -1: in the array
    Py_ssize_t at  # its place there


cdef bint _level(const Side *side, int slot, Py_ssize_t at, Level *level) noexcept nogil:
    """The level in this slot, or else at this place; False when that is behind the last."""
    level.slot = slot
    level.at = at
    if slot >= 0:
        level.key = key_at(&side.window, slot)
        level.size = side.window.sizes[slot]
        return True
    if at < side.low:
        return False
    level.key = side.keys[at]
    level.size = side.sizes[at]
    return True


cdef inline bint _first(const Side *side, Level *level) noexcept nogil:
    """The best level; False when there is none."""
    return _level(side, side.window.top, side.high - 1, level)


cdef inline bint _next(const Side *side, Level *level) noexcept nogil:
    """The level behind this one; False when it was the last."""
    if level.slot >= 0:
        return _level(side, slot_below(&side.window, level.slot), level.at, level)
    return _level(side, -1, level.at - 1, level)


cdef double _size_at(const Side *side, double key) noexcept nogil:
    cdef const Window *window = &side.window
    cdef int64_t ticks = 0
    cdef Py_ssize_t at
    if window.open and ticks_of(window, key, &ticks) and ticks >= window.base:
        return window.sizes[ticks - window.base] if ticks < window.base + window.slots else 0.0
    at = _find(side, key)
    return side.sizes[at] if at < side.high and side.keys[at] == key else 0.0


cdef bint _worse(const Side *side, double key, Level *level) noexcept nogil:
    """The best level that is worse than ``key``, which need not be a price of the book."""
    cdef const Window *window = &side.window
    cdef double tick
    cdef int slot = window.slots
    if window.top >= 0 and key > key_at(window, 0):
        tick = key * window.scale - <double>window.base
        if tick < window.slots - 2:
            slot = <int>tick + 2
        slot = slot_below(window, slot)
        while slot >= 0 and key_at(window, slot) >= key:
            slot = slot_below(window, slot)
        if slot >= 0:
            return _level(side, slot, side.high - 1, level)
    return _level(side, -1, _find(side, key) - 1, level)
