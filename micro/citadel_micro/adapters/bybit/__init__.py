"""Everything specific to Bybit."""
