"""Everything specific to Bitget."""
