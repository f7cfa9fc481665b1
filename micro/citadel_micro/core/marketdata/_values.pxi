# Values of a frame, as a venue writes them plainly. Included by ``_forms``.
#
# Each reader answers where the value ends, or NULL where there is none or it is written in another way: it
# is left to the decoder of all frames then. The text of a bytes object ends with a zero, which is none of the
# characters that a loop goes on with.

cdef double LARGEST = 1e18
cdef int64_t LATEST = 9000000000000
cdef uint64_t EXACT = 9007199254740992  # 2**53: below it every integer is a float
cdef double POWERS[19]
POWERS[:] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18,
]
cdef int64_t NANOS[10]
NANOS[:] = [1000000000, 100000000, 10000000, 1000000, 100000, 10000, 1000, 100, 10, 1]
cdef int DAYS[13]
DAYS[:] = [0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]  # of a year, before each month

cdef enum:
    MOST_DIGITS = 18  # of a number that cannot overflow


cdef inline bint _starts(const char *at, const char *word, int length) noexcept nogil:
    """Whether this word is next; stops at the zero that ends the text."""
    cdef int i
    for i in range(length):
        if at[i] != word[i]:
            return False
    return True


cdef inline const char *_integer(const char *at, int64_t *value) noexcept nogil:
    """Behind an integer; NULL when there is none, or one that is not plain."""
    cdef const char *start = at
    cdef int64_t whole = 0
    cdef unsigned char digit = <unsigned char>(at[0] - 48)
    if digit == 0 and <unsigned char>(at[1] - 48) <= 9:
        return NULL
    while digit <= 9:
        if at - start == MOST_DIGITS:
            return NULL
        whole = whole * 10 + digit
        at += 1
        digit = <unsigned char>(at[0] - 48)
    value[0] = whole
    return at if at > start else NULL


cdef inline const char *_number(const char *at, double *value) noexcept nogil:
    """Behind a decimal number, which is rounded once: its digits and power of ten are exact."""
    cdef const char *start = at
    cdef const char *point
    cdef uint64_t whole = 0
    cdef Py_ssize_t digits, places = 0
    cdef unsigned char digit = <unsigned char>(at[0] - 48)
    if digit > 9 or (digit == 0 and <unsigned char>(at[1] - 48) <= 9):
        return NULL
    while digit <= 9:
        whole = whole * 10 + digit
        at += 1
        digit = <unsigned char>(at[0] - 48)
    digits = at - start
    if at[0] == 46:
        at += 1
        point = at
        digit = <unsigned char>(at[0] - 48)
        while digit <= 9:
            whole = whole * 10 + digit
            at += 1
            digit = <unsigned char>(at[0] - 48)
        places = at - point
        if places == 0:
            return NULL
        digits += places
    if digits > MOST_DIGITS or whole > EXACT:
        return NULL
    value[0] = <double>whole / POWERS[places]
    return at


cdef inline const char *_decimal(const char *at, double *value) noexcept nogil:
    """Behind a decimal number in quotes."""
    if at[0] != 34:
        return NULL
    at = _number(at + 1, value)
    return at + 1 if at != NULL and at[0] == 34 else NULL


cdef inline const char *_two(const char *at, int *value) noexcept nogil:
    """Behind two digits."""
    cdef unsigned char tens = <unsigned char>(at[0] - 48), ones
    if tens > 9:
        return NULL
    ones = <unsigned char>(at[1] - 48)
    if ones > 9:
        return NULL
    value[0] = 10 * tens + ones
    return at + 2


cdef const char *_time(const char *at, int64_t *value) noexcept nogil:
    """Behind ``"2021-04-17T16:43:37.085687Z"``: nanoseconds of the epoch."""
    cdef const char *between = b"--T::"
    cdef const char *point
    cdef int part[6]
    cdef int i, century = 0, days
    cdef bint leap
    cdef int64_t fraction = 0
    cdef unsigned char digit
    if at[0] != 34:
        return NULL
    at = _two(at + 1, &century)
    for i in range(6):
        if at != NULL:
            at = _two(at, &part[i])
        if at == NULL:
            return NULL
        if i < 5:
            if at[0] != between[i]:
                return NULL
            at += 1
    part[0] += 100 * century
    if not (1970 <= part[0] <= 2255 and 1 <= part[1] <= 12 and 1 <= part[2]):
        return NULL
    if part[3] > 23 or part[4] > 59 or part[5] > 59:
        return NULL
    leap = part[0] % 4 == 0 and (part[0] % 100 != 0 or part[0] % 400 == 0)
    if part[2] > (28 + leap if part[1] == 2 else 30 if part[1] in (4, 6, 9, 11) else 31):
        return NULL
    # Days before this year since 1970, of which each leap year had one more.
    days = 365 * (part[0] - 1970) + (part[0] - 1969) // 4 - (part[0] - 1901) // 100 + (part[0] - 1601) // 400
    days += DAYS[part[1]] + part[2] - 1 + (leap and part[1] > 2)
    if at[0] == 46:
        point = at
        at += 1
        digit = <unsigned char>(at[0] - 48)
        while digit <= 9:
            if at - point > 9:
                return NULL
            fraction = 10 * fraction + digit
            at += 1
            digit = <unsigned char>(at[0] - 48)
        if at - point == 1:
            return NULL
        fraction *= NANOS[at - point - 1]
    if at[0] != 90 or at[1] != 34:
        return NULL
    value[0] = (((days * <int64_t>24 + part[3]) * 60 + part[4]) * 60 + part[5]) * 1000000000 + fraction
    return at + 2


cdef const char *_skip(const char *at) noexcept nogil:
    """Behind one plain value."""
    cdef const char *start
    if at[0] == 34:
        at += 1
        while 32 <= at[0] <= 126 and at[0] != 34 and at[0] != 92:
            at += 1
        return at + 1 if at[0] == 34 else NULL
    if _starts(at, b"true", 4) or _starts(at, b"null", 4):
        return at + 4
    if _starts(at, b"false", 5):
        return at + 5
    start = at
    if at[0] == 48 and 48 <= at[1] <= 57:
        return NULL
    while 48 <= at[0] <= 57:
        at += 1
    if at == start or at - start > MOST_DIGITS:
        return NULL
    if at[0] == 46:
        at += 1
        start = at
        while 48 <= at[0] <= 57:
            at += 1
        if at == start or at - start > MOST_DIGITS:
            return NULL
    return at
