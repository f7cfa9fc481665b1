"""Every venue that has no adapter of its own, through ccxt."""
