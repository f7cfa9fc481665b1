"""Everything known of KuCoin."""
