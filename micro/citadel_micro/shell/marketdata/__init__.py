"""The Aggregator and its parts: one small spec per venue, one engine for all of them."""
