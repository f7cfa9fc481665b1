"""For whoever operates a run: controls, health, metrics."""
