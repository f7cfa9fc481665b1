"""Sources of exact trading rules: the venue's own list, a file, or a capture's decimals."""
