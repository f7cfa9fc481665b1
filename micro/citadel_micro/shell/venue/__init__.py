"""Building blocks of every live venue's order adapter."""
