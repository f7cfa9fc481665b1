"""Everything known of Coinbase."""
