"""Where exact trading rules come from: the venue's own list, a file, or a capture's decimals."""
