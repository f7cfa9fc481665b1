"""Everything known of Kraken."""
