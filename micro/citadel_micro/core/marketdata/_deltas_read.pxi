# Reading of frames of market events, included by ``_deltas``.

cdef struct Scan:
    const unsigned char *at
    const unsigned char *end


cdef inline int _byte(Scan *scan) except -1:
    if scan.at >= scan.end:
        raise DecodeError("a frame of market events ends within an entry")
    cdef int value = scan.at[0]
    scan.at += 1
    return value


cdef inline int _whole(Scan *scan, uint64_t *into) except -1:
    cdef uint64_t value = 0
    cdef int byte, shift = 0
    while True:
        byte = _byte(scan)
        if shift == 63 and byte > 1:
            raise DecodeError("a number of a frame of market events is too large")
        value |= <uint64_t>(byte & 127) << shift
        if byte < 128:
            into[0] = value
            return 0
        shift += 7


cdef inline int _signed(Scan *scan, int64_t *into) except -1:
    cdef uint64_t value
    _whole(scan, &value)
    into[0] = _unzigzag(value)
    return 0


cdef inline int _add(Scan *scan, int64_t *to) except -1:
    cdef uint64_t value
    _whole(scan, &value)
    to[0] = _sum(to[0], _unzigzag(value))
    return 0


cdef int _places(Scan *scan) except -1:
    cdef int places = _byte(scan)
    if places > MOST_DECIMALS:
        raise DecodeError(f"a frame of market events has a number of {places} decimals")
    return places


cdef int _digit_places(Scan *scan) except -1:
    cdef int places = _byte(scan)
    if places > MOST_DIGITS:
        raise DecodeError(f"a frame of market events has a number of {places} decimals")
    return places


cdef object _text(Scan *scan):
    cdef uint64_t length
    _whole(scan, &length)
    if length > <uint64_t>(scan.end - scan.at):
        raise DecodeError("a frame of market events ends within an entry")
    try:
        text = PyUnicode_DecodeUTF8(<const char *>scan.at, <Py_ssize_t>length, NULL)
    except UnicodeDecodeError as error:
        raise DecodeError(f"a name in a frame of market events: {error}") from error
    scan.at += length
    return text


cdef int _double(Scan *scan, double *into) except -1:
    if scan.end - scan.at < 8:
        raise DecodeError("a frame of market events ends within an entry")
    memcpy(into, scan.at, 8)
    scan.at += 8
    return 0


cdef int _price(Scan *scan, Stream stream, int64_t *ticks, double *into) except -1:
    """A price after the ticks, which become its own."""
    cdef uint64_t code
    _whole(scan, &code)
    while code == 0:
        if _byte(scan) == RAW:
            return _double(scan, into)
        scan.at -= 1
        stream.places[0] = _places(scan)
        memset(stream.known.ticks, 0, sizeof(stream.known.ticks))
        ticks[0] = 0
        _whole(scan, &code)
    ticks[0] = _sum(ticks[0], _unzigzag(code - 1))
    into[0] = <double>ticks[0] / POWERS[stream.places[0]]
    return 0


cdef int _size(Scan *scan, Stream stream, double *into) except -1:
    cdef uint64_t code
    _whole(scan, &code)
    while code == 0:
        if _byte(scan) == RAW:
            return _double(scan, into)
        scan.at -= 1
        stream.places[1] = _places(scan)
        _whole(scan, &code)
    into[0] = <double>(code - 1) / POWERS[stream.places[1]]
    return 0


cdef class Reader:
    """The events of one frame, or a venue's frames in it: see ``core.marketdata.deltas``.

    They are made one by one, so that none is kept for longer than it is used.
    """

    cdef Scan scan
    cdef bytes frame
    cdef list streams
    cdef Stream stream
    cdef int64_t now_ns
    cdef object depth, quote, trade, symbol
    cdef bint groups

    def __cinit__(self, bytes frame, depth, quote, trade, *, bint groups=False, symbol=None):
        self.frame = frame
        self.scan.at = <const unsigned char *>PyBytes_AS_STRING(frame)
        self.scan.end = self.scan.at + PyBytes_GET_SIZE(frame)
        if PyBytes_GET_SIZE(frame) == 0 or self.scan.at[0] != FORMAT:
            raise DecodeError(f"a frame of market events of another version than {FORMAT}")
        self.scan.at += 1
        self.streams = []
        self.stream = None
        self.now_ns = 0
        self.depth, self.quote, self.trade = depth, quote, trade
        self.groups = groups
        self.symbol = symbol

    def __iter__(self):
        return self

    def __next__(self):
        cdef object event
        cdef uint64_t count, i
        cdef int64_t now_ns
        cdef list events
        if self.scan.at >= self.scan.end:
            raise StopIteration
        event = self._next()
        if event is not None:
            if self.groups:
                event = (event,) if self._wanted(event) else ()
            return self.now_ns, event
        if not self.groups:
            raise DecodeError("a journal has no groups of market events")
        _whole(&self.scan, &count)
        now_ns = self.now_ns
        events = []
        for i in range(count):
            event = self._next()
            if event is None:
                raise DecodeError("a group of market events is cut off, or within another")
            if self._wanted(event):
                events.append(event)
        return now_ns, tuple(events)

    cdef inline bint _wanted(self, object event) except -1:
        return self.symbol is None or self.symbol == (<tuple>event)[1]

    cdef object _next(self):
        """The next event; None for a group, whose count comes next."""
        cdef int tag = _byte(&self.scan)
        cdef int kind = tag & 3
        cdef uint64_t number
        cdef int64_t recv_ns, moved
        cdef Stream stream
        if kind == GROUP:
            _add(&self.scan, &self.now_ns)
            return None
        if tag & OTHER:
            _whole(&self.scan, &number)
            if number == <uint64_t>len(self.streams):
                stream = Stream.__new__(Stream)
                stream.venue = _text(&self.scan)
                stream.symbol = _text(&self.scan)
                stream.begin(number)
                stream.places[0] = _places(&self.scan)
                stream.places[1] = _places(&self.scan)
                self.streams.append(stream)
            elif number > <uint64_t>len(self.streams):
                raise DecodeError(f"a frame of market events has no stream {number}")
            self.stream = self.streams[number]
        stream = self.stream
        if stream is None:
            raise DecodeError("a frame of market events begins without a stream")
        _add(&self.scan, &self.now_ns)
        recv_ns = self.now_ns
        if tag & LATE:
            _add(&self.scan, &recv_ns)
        _signed(&self.scan, &moved)
        if tag & MS:
            moved = <int64_t>(<uint64_t>moved * <uint64_t>NS_A_MS)
        stream.known.exchange_ns = _sum(stream.known.exchange_ns, moved)
        if kind == QUOTE:
            return self._quote(stream, tag, recv_ns)
        if kind == DEPTH:
            return self._depth(stream, tag, recv_ns)
        return self._trade(stream, tag, recv_ns)

    cdef object _quote(self, Stream stream, int tag, int64_t recv_ns):
        cdef int side
        cdef int64_t ticks
        _add(&self.scan, &stream.known.seq)
        for side in range(2):
            if tag & (SAME_ASK if side else SAME_BID):
                continue
            ticks = stream.known.ticks[2 + side]
            _price(&self.scan, stream, &ticks, &stream.known.quote[2 * side])
            stream.known.ticks[2 + side] = ticks
            _size(&self.scan, stream, &stream.known.quote[2 * side + 1])
        cdef object event = citadel_tuple_of(self.quote, 9)
        _put(event, 0, stream.venue)
        _put(event, 1, stream.symbol)
        _put(event, 2, PyLong_FromLongLong(stream.known.seq))
        for side in range(4):
            _put(event, 3 + side, PyFloat_FromDouble(stream.known.quote[side]))
        _put(event, 7, PyLong_FromLongLong(stream.known.exchange_ns))
        _put(event, 8, PyLong_FromLongLong(recv_ns))
        return event

    cdef object _trade(self, Stream stream, int tag, int64_t recv_ns):
        cdef object name
        cdef double price, size
        cdef int64_t ticks
        if tag & NUMBERED:
            _add(&self.scan, &stream.known.trade_id)
            name = str(stream.known.trade_id)
        else:
            name = _text(&self.scan)
        ticks = stream.known.ticks[4]
        _price(&self.scan, stream, &ticks, &price)
        stream.known.ticks[4] = ticks
        _size(&self.scan, stream, &size)
        cdef object event = citadel_tuple_of(self.trade, 9)
        _put(event, 0, stream.venue)
        _put(event, 1, stream.symbol)
        _put(event, 2, name)
        _put(event, 3, PyFloat_FromDouble(price))
        _put(event, 4, PyFloat_FromDouble(size))
        _put(event, 5, "sell" if tag & SELL else "buy")
        _put(event, 6, PyLong_FromLongLong(stream.known.exchange_ns))
        _put(event, 7, PyLong_FromLongLong(recv_ns))
        _put(event, 8, True if tag & HISTORY else False)
        return event

    cdef object _depth(self, Stream stream, int tag, int64_t recv_ns):
        cdef int64_t last, first, prev, moved, checksum = 0
        cdef uint64_t code, bid_count, ask_count
        cdef Levels bids, asks
        _add(&self.scan, &stream.known.seq)
        last = stream.known.seq
        _signed(&self.scan, &moved)
        first = _sum(last, <int64_t>(<uint64_t>0 - <uint64_t>moved))
        _whole(&self.scan, &code)
        prev = stream.known.depth_seq
        if code == 1:
            prev = -1
        elif code:
            prev = _sum(prev, _unzigzag(code - 2))
        stream.known.depth_seq = last
        if tag & CHECKSUM:
            _signed(&self.scan, &checksum)
        _add(&self.scan, &stream.known.covers)
        _whole(&self.scan, &bid_count)
        _whole(&self.scan, &ask_count)
        if tag & TEXTS:
            bids = self._digits(bid_count)
            asks = self._digits(ask_count)
        else:
            bids = self._levels(stream, 0, bid_count)
            asks = self._levels(stream, 1, ask_count)
        cdef object event = citadel_tuple_of(self.depth, 13)
        _put(event, 0, stream.venue)
        _put(event, 1, stream.symbol)
        _put(event, 2, True if tag & SNAPSHOT else False)
        _put(event, 3, PyLong_FromLongLong(first))
        _put(event, 4, PyLong_FromLongLong(last))
        _put(event, 5, PyLong_FromLongLong(prev))
        _put(event, 6, PyLong_FromLongLong(checksum) if tag & CHECKSUM else None)
        _put(event, 7, bids)
        _put(event, 8, asks)
        _put(event, 9, PyLong_FromLongLong(stream.known.exchange_ns))
        _put(event, 10, PyLong_FromLongLong(recv_ns))
        _put(event, 11, (bids.digits, asks.digits) if tag & TEXTS else None)
        _put(event, 12, PyLong_FromLongLong(stream.known.covers))
        return event

    cdef Levels _room(self, uint64_t count, bint texts):
        """Levels with room for so many."""
        cdef Levels levels = Levels.__new__(Levels)
        if count > <uint64_t>(self.scan.end - self.scan.at) // 2:  # each takes two bytes
            raise DecodeError(f"a frame of market events has no room for {count} levels")
        if count:
            levels.values = <double *>PyMem_Malloc(count * 2 * sizeof(double))
            if levels.values == NULL:
                raise MemoryError
            levels.room = count
            if texts:
                levels.texts = <Text *>PyMem_Malloc(count * sizeof(Text))
                if levels.texts == NULL:
                    raise MemoryError
        return levels

    cdef Levels _levels(self, Stream stream, int side, uint64_t count):
        cdef Levels levels = self._room(count, False)
        cdef Py_ssize_t i
        cdef int64_t ticks = stream.known.ticks[side], top = stream.known.ticks[side]
        for i in range(<Py_ssize_t>count):
            _price(&self.scan, stream, &ticks, &levels.values[2 * i])
            if i == 0:
                top = ticks
            _size(&self.scan, stream, &levels.values[2 * i + 1])
            levels.count = i + 1
        if count:
            stream.known.ticks[side] = top
        return levels

    cdef Levels _digits(self, uint64_t count):
        cdef Levels levels = self._room(count, True)
        cdef Py_ssize_t i
        cdef int places
        cdef int64_t whole = 0
        cdef uint64_t size
        for i in range(<Py_ssize_t>count):
            places = _digit_places(&self.scan)
            _add(&self.scan, &whole)
            levels.values[2 * i] = <double>whole / POWERS[places]
            if whole < 0:
                raise DecodeError("a frame of market events has digits of a number below 0")
            levels.texts[i].price_length = _write(levels.texts[i].price, <uint64_t>whole, places)
            places = _digit_places(&self.scan)
            _whole(&self.scan, &size)
            levels.values[2 * i + 1] = <double>size / POWERS[places]
            levels.texts[i].size_length = _write(levels.texts[i].size, size, places)
            levels.count = i + 1
        return levels


cdef unsigned char _write(char *to, uint64_t whole, int places) noexcept:
    """The digits of a number with so many decimals; at most 21 characters, of the room's 31."""
    cdef char digits[DIGITS]
    cdef int count = 0, length = 0
    while whole or count <= places:
        digits[count] = <char>(48 + whole % 10)
        whole //= 10
        count += 1
    while count:
        if count == places:
            to[length] = 46
            length += 1
        count -= 1
        to[length] = digits[count]
        length += 1
    return <unsigned char>length


cdef inline void _put(object event, Py_ssize_t at, object value) noexcept:
    """Into a new tuple."""
    Py_INCREF(value)
    PyTuple_SET_ITEM(event, at, value)
