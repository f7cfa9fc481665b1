"""A process beside micro, with a key of its own, that cancels micro's orders when micro falls silent."""
