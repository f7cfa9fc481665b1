"""The journal of a run and its folder."""
