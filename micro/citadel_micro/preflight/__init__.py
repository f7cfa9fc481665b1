"""Checks before the first order of a live run, and on request."""
