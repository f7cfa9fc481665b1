"""Everything known of Binance."""
