"""Everything specific to KuCoin."""
