# cython: language_level=3
"""What the reader of levels and the keeper of books share: levels as they lie in memory."""

from libc.stdint cimport uint64_t

cdef enum:
    DIGITS = 31  # most characters of a price or size that goes into a checksum


cdef struct Text:
    unsigned char price_length
    unsigned char size_length  # 0: the digits of this level are not known
    char price[DIGITS]
    char size[DIGITS]


cdef class Levels:
    cdef double *values  # price, size, price, size ...
    cdef Text *texts  # NULL: nobody asked for digits
    cdef Py_ssize_t count
    cdef Py_ssize_t room


cdef class LevelTexts:
    cdef Levels levels


cdef struct Places:
    # Addresses as numbers, since nothing may be read through them.
    size_t symbol  # whose they are
    uint64_t fetch  # the number of the last one of it
    size_t market
    size_t judge
    size_t book
    size_t bids  # its levels next to the best
    size_t bid_sizes
    size_t asks
    size_t ask_sizes


cdef Places *_places_of(size_t symbol) noexcept
cdef void _fetch(size_t symbol) noexcept
cdef int _set_text(Text *text, str price, str size) except -1
