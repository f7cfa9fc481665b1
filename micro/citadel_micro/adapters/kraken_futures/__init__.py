"""Everything specific to Kraken Futures."""
