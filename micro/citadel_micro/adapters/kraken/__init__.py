"""Everything specific to Kraken."""
