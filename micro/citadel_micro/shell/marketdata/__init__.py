"""The Aggregator and what it is made of: one small spec a venue, one engine for all of them."""
