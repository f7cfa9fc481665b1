"""Every venue without an adapter of its own, through ccxt."""
