"""Everything specific to OKX."""
