# cython: language_level=3
"""What the reader of levels and the keeper of books share: levels as they lie in memory."""

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


cdef int _set_text(Text *text, str price, str size) except -1
