"""Everything known of Kraken Futures."""
