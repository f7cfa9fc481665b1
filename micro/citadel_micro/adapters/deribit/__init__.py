"""Everything known of Deribit."""
