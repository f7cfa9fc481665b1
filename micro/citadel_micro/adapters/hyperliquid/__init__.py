"""Everything known of Hyperliquid."""
