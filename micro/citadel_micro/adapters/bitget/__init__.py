"""Everything known of Bitget."""
