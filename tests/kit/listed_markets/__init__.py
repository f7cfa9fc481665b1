"""How each venue lists its markets: a part of a path, or of a body, and the answer to it.

The answers are written after each venue's own documentation; fields that nobody reads are left out.
"""
