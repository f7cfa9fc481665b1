# Checksums of a book's best levels, included by ``_book``: CRC32 over the digits as the venue wrote them.

cdef extern from *:
    """
    static uint32_t citadel_crc_of[16][256];

    static void citadel_crc_start(void) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t sum = i;
            for (int bit = 0; bit < 8; bit++) sum = (sum >> 1) ^ (sum & 1 ? 0xEDB88320u : 0u);
            citadel_crc_of[0][i] = sum;
        }
        for (int i = 0; i < 256; i++)
            for (int by = 1; by < 16; by++)
                citadel_crc_of[by][i] = (citadel_crc_of[by - 1][i] >> 8)
                    ^ citadel_crc_of[0][citadel_crc_of[by - 1][i] & 255];
    }

    /* CRC32 of more text, sixteen bytes at a time (Kounavis and Berry 2005); 0 to begin with. */
    static uint32_t citadel_crc(uint32_t sum, const char *text, Py_ssize_t length) {
        const unsigned char *at = (const unsigned char *)text;
        sum = ~sum;
        for (; length >= 16; length -= 16, at += 16) {
            sum ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
            sum = citadel_crc_of[15][sum & 255] ^ citadel_crc_of[14][sum >> 8 & 255]
                ^ citadel_crc_of[13][sum >> 16 & 255] ^ citadel_crc_of[12][sum >> 24]
                ^ (citadel_crc_of[11][at[4]] ^ citadel_crc_of[10][at[5]]
                   ^ citadel_crc_of[9][at[6]] ^ citadel_crc_of[8][at[7]])
                ^ (citadel_crc_of[7][at[8]] ^ citadel_crc_of[6][at[9]]
                   ^ citadel_crc_of[5][at[10]] ^ citadel_crc_of[4][at[11]])
                ^ (citadel_crc_of[3][at[12]] ^ citadel_crc_of[2][at[13]]
                   ^ citadel_crc_of[1][at[14]] ^ citadel_crc_of[0][at[15]]);
        }
        if (length >= 8) {
            length -= 8;
            sum ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
            sum = citadel_crc_of[7][sum & 255] ^ citadel_crc_of[6][sum >> 8 & 255]
                ^ citadel_crc_of[5][sum >> 16 & 255] ^ citadel_crc_of[4][sum >> 24]
                ^ citadel_crc_of[3][at[4]] ^ citadel_crc_of[2][at[5]]
                ^ citadel_crc_of[1][at[6]] ^ citadel_crc_of[0][at[7]];
            at += 8;
        }
        for (; length > 0; length--, at++) sum = sum >> 8 ^ citadel_crc_of[0][(sum ^ *at) & 255];
        return ~sum;
    }

    #if defined(_MSC_VER) || (defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
    #define CITADEL_LITTLE 1
    #else
    #define CITADEL_LITTLE 0
    #endif
    """
    const bint CITADEL_LITTLE
    void citadel_crc_start() noexcept nogil
    uint32_t citadel_crc(uint32_t sum, const char *text, Py_ssize_t length) noexcept nogil

citadel_crc_start()

cdef char *sum_text = NULL
cdef Py_ssize_t sum_room = 0


cdef int _sum_room(Py_ssize_t wanted) except -1:
    """Space for a text."""
    global sum_text, sum_room
    cdef void *more
    if wanted > sum_room:
        more = PyMem_Realloc(sum_text, wanted)
        if more == NULL:
            raise MemoryError
        sum_text = <char *>more
        sum_room = wanted
    return 0


cdef inline Py_ssize_t _put_bare(char *to, const char *digits, Py_ssize_t length) noexcept nogil:
    """Digits without their point and leading zeros; up to eight bytes behind them are written too."""
    cdef Py_ssize_t i = 0, n = 0
    cdef uint64_t word, points
    cdef Py_ssize_t at
    while i < length and (digits[i] == 48 or digits[i] == 46):
        i += 1
    while CITADEL_LITTLE and i < length and i + 8 <= DIGITS:
        memcpy(&word, digits + i, 8)
        points = word ^ <uint64_t>0x2E2E2E2E2E2E2E2E
        points = (points - <uint64_t>0x0101010101010101) & ~points & <uint64_t>0x8080808080808080
        at = 64
        if points:  # what is behind the first of them moves up
            at = citadel_first_bit(points) & ~7
            word = (word & ((<uint64_t>1 << at) - 1)) | ((word >> at >> 8) << at)
        memcpy(to + n, &word, 8)
        n += min(length - i, 8) - (at < 64 and at < 8 * (length - i))
        i += 8
    while i < length:
        to[n] = digits[i]
        n += digits[i] != 46
        i += 1
    return n


cdef bint _join(Side *side, Py_ssize_t count) except -1:
    """The digits of a side's best levels one after another; False when those of one are not known.

    They are kept until one of these levels changes: most changes are of one side, and many of none of them.
    """
    cdef Py_ssize_t levels = min(count, _count(side)), i, n = 0
    cdef const Text *text
    cdef void *more
    if side.joined_for == count:
        return True
    if levels and not side.digits.on:
        return False
    _hold(side, levels)
    if side.joined == NULL or levels > side.joined_room:
        more = PyMem_Realloc(side.joined, levels * 2 * DIGITS + 8)
        if more == NULL:
            raise MemoryError
        side.joined = <char *>more
        side.joined_room = levels
    for i in range(side.digits.high - 1, side.digits.high - 1 - levels, -1):
        text = &side.digits.texts[i]
        if text.size_length == 0:
            return False
        n += _put_bare(side.joined + n, text.price, text.price_length)
        n += _put_bare(side.joined + n, text.size, text.size_length)
    side.joined_length = n
    side.joined_sum = citadel_crc(0, side.joined, n)
    side.joined_for = count
    side.joined_worst = side.keys[side.high - levels] if levels == count else -INFINITY
    return True


cdef int64_t _kraken_sum(Side *bids, Side *asks, Py_ssize_t count) except? -1:
    """Asks, then bids; -1 when digits are not known."""
    if not _join(asks, count) or not _join(bids, count):
        return -1
    return citadel_crc(asks.joined_sum, bids.joined, bids.joined_length)


cdef inline char *_put_colon(char *to, const char *digits, Py_ssize_t length) noexcept nogil:
    memcpy(to, digits, DIGITS)
    to[length] = 58
    return to + length + 1


cdef int64_t _colon_sum(Side *bids, Side *asks, Py_ssize_t count) except? -1:
    """Bid and ask in turn, joined by colons; -1 when digits are not known."""
    cdef Py_ssize_t bid_count = min(count, _count(bids)), ask_count = min(count, _count(asks)), i
    cdef const Text *text
    cdef char *to
    if (bid_count and not bids.digits.on) or (ask_count and not asks.digits.on):
        return -1
    _hold(bids, bid_count)
    _hold(asks, ask_count)
    _sum_room((bid_count + ask_count) * 2 * (DIGITS + 1) + 1)
    to = sum_text
    for i in range(max(bid_count, ask_count)):
        if i < bid_count:
            text = &bids.digits.texts[bids.digits.high - 1 - i]
            if text.size_length == 0:
                return -1
            to = _put_colon(_put_colon(to, text.price, text.price_length), text.size, text.size_length)
        if i < ask_count:
            text = &asks.digits.texts[asks.digits.high - 1 - i]
            if text.size_length == 0:
                return -1
            to = _put_colon(_put_colon(to, text.price, text.price_length), text.size, text.size_length)
    return citadel_crc(0, sum_text, to - sum_text - 1 if to > sum_text else 0)
