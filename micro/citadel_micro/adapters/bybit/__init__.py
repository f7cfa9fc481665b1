"""Everything known of Bybit."""
