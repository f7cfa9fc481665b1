"""Everything specific to Coinbase."""
