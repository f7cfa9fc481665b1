"""From an admitted parent to orders at the venue and back."""
