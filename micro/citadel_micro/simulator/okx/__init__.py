"""OKX v5: its public and private protocol on the simulator's exchange."""
