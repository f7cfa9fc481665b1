"""Everything specific to Binance."""
