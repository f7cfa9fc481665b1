"""Everything known of Gate."""
