# Types of the compiled keeper of books; see _book.pyx.

from typing import Final

from citadel_micro.core.marketdata.book import Book as Book

VERSION: Final[int]
