"""Everything specific to Hyperliquid."""
