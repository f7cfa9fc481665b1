"""The journal of a run and the folder that it lies in."""
