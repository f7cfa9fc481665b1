"""Everything known of OKX."""
