"""Operating a run: control, health, metrics."""
