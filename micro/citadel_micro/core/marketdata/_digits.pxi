# The digits of levels as the venue wrote them, included by ``_book``: for one side, best level last.
#
# A checksum is over the digits of a few best levels. Only theirs and those of some behind them are kept as text;
# of every other level two lengths are enough: a number of 15 digits at most, written plainly, is the one text of
# its length that reads as it, so it can be written again. Where a number is written otherwise the side keeps the
# text of all its levels until it is cleared.

cdef enum:
    LEAST = 64  # texts that there is room for; twice as many as a checksum covers when that is more
    PLAIN = 16  # most characters of 15 digits and a point
    MOST_TENS = 15

cdef double TOO_LONG = 1e15  # the least number of 16 digits
cdef int64_t TENS[MOST_TENS]
TENS[:] = [
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000,
    1000000000000, 10000000000000, 100000000000000,
]


cdef enum Given:
    NONE  # the book keeps no digits
    READ  # they were read with their numbers
    TOLD  # somebody gave both


cdef struct Lengths:
    unsigned char price
    unsigned char size  # 0: the digits of this level are not known


cdef struct Digits:
    bint on  # some have come
    bint whole  # the text of every level is kept
    Lengths *lengths  # a pair a level, beside the keys; NULL where the whole is kept
    Text *texts  # those of the best levels are [low, high)
    Py_ssize_t low
    Py_ssize_t high
    Py_ssize_t room


cdef void _no_digits(Digits *digits) noexcept:
    PyMem_Free(digits.lengths)
    PyMem_Free(digits.texts)
    digits.lengths = NULL
    digits.texts = NULL
    digits.on = digits.whole = False
    digits.low = digits.high = digits.room = 0


cdef inline bint _letters(const char *text, int length) noexcept nogil:
    """Whether a character is none of a plain number: an exponent has a letter."""
    cdef uint64_t word, rest
    cdef int i
    if length >= 8:
        memcpy(&word, text, 8)
        memcpy(&rest, text + length - 8, 8)  # of at most 16
        return (word | rest) & <uint64_t>0x4040404040404040 != 0
    for i in range(length):
        if text[i] & 64:
            return True
    return False


cdef inline bint _plain(const char *text, int length, double value) noexcept nogil:
    """Whether a number that was read from its text is the one that ``_write_plain`` writes."""
    return length <= PLAIN and value < TOO_LONG and not _letters(text, length)


cdef int _write_plain(char *to, double value, int length) noexcept nogil:
    """A number in so many characters; how many those are, 0 where it has no such form."""
    cdef int64_t whole = <int64_t>value, rest
    cdef int digits = 1, places, i
    while digits < MOST_TENS and whole >= TENS[digits]:
        digits += 1
    places = length - digits - 1
    if places == -1:
        places = 0
    elif not 0 < places < MOST_TENS or digits + places > MOST_TENS:
        return 0
    rest = <int64_t>(value * <double>TENS[places] + 0.5) - whole * TENS[places]
    for i in range(digits - 1, -1, -1):
        to[i] = <char>(48 + whole % 10)
        whole //= 10
    if places:
        to[digits] = 46
    for i in range(length - 1, digits, -1):
        to[i] = <char>(48 + rest % 10)
        rest //= 10
    return length


cdef bint _says(const char *text, int length, double value) noexcept nogil:
    """Whether a text is the plain form of a number."""
    cdef char written[DIGITS]
    if not 0 < length <= PLAIN or not 0.0 <= value < TOO_LONG:
        return False
    return _write_plain(written, value, length) == length and memcmp(written, text, length) == 0


cdef bint _shortens(const Text *text, double price, double size, Given given) noexcept nogil:
    """Whether the lengths of a level's digits are enough."""
    if given == READ:
        return _plain(text.price, text.price_length, price) and _plain(text.size, text.size_length, size)
    return _says(text.price, text.price_length, price) and _says(text.size, text.size_length, size)


cdef void _write_level(Text *text, double price, double size, Lengths lengths) noexcept nogil:
    """The digits of a level from their lengths."""
    text.size_length = lengths.size
    if lengths.size:
        text.price_length = lengths.price
        _write_plain(text.price, price, lengths.price)
        _write_plain(text.size, size, lengths.size)


# --- the texts of the best levels -----------------------------------------------------------------


cdef int _place(Digits *digits, Py_ssize_t room, Py_ssize_t kept, Py_ssize_t below) except -1:
    """Let the best of the texts lie in so much room, with as much of it before as behind these and ``below``."""
    cdef Py_ssize_t low = (room - kept - below) // 2 + below
    cdef Text *texts = digits.texts
    if room != digits.room:
        texts = <Text *>PyMem_Malloc(room * sizeof(Text))
        if texts == NULL:
            raise MemoryError
    if kept:
        memmove(texts + low, digits.texts + digits.high - kept, kept * sizeof(Text))
    if room != digits.room:
        PyMem_Free(digits.texts)
        digits.texts = texts
        digits.room = room
    digits.low = low
    digits.high = low + kept
    return 0


cdef int _spread(Digits *digits) except -1:
    """Room at both ends: of the whole there is more, else only the better half of a full room is kept."""
    cdef Py_ssize_t kept = digits.high - digits.low, room = digits.room
    if digits.whole:
        if 2 * kept > room:
            room *= 2
    elif 2 * kept > room:
        kept = room // 2
    _place(digits, room, kept, 0)
    return 0


cdef int _text_in(Digits *digits, Py_ssize_t better, const Text *text) except -1:
    """The text of a new level that has so many better ones."""
    cdef Py_ssize_t worse = digits.high - digits.low - better
    cdef bint down = worse < better
    if worse < 0 or (worse == 0 and digits.low == 0 and not digits.whole):
        return 0  # none of the best
    if digits.low == 0 if down else digits.high == digits.room:
        _spread(digits)
        worse = digits.high - digits.low - better
        if worse < 0:
            return 0
    if down:
        memmove(digits.texts + digits.low - 1, digits.texts + digits.low, worse * sizeof(Text))
        digits.low -= 1
    else:
        memmove(
            digits.texts + digits.high - better + 1, digits.texts + digits.high - better, better * sizeof(Text)
        )
        digits.high += 1
    digits.texts[digits.high - 1 - better] = text[0]
    return 0


cdef void _text_out(Digits *digits, Py_ssize_t better) noexcept nogil:
    """That of a level which is deleted."""
    cdef Py_ssize_t worse = digits.high - digits.low - 1 - better
    if worse < 0:
        return
    if worse < better:
        memmove(digits.texts + digits.low + 1, digits.texts + digits.low, worse * sizeof(Text))
        digits.low += 1
    else:
        memmove(
            digits.texts + digits.high - 1 - better, digits.texts + digits.high - better, better * sizeof(Text)
        )
        digits.high -= 1
