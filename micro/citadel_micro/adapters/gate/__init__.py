"""Everything specific to Gate."""
