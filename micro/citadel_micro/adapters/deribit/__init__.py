"""Everything specific to Deribit."""
