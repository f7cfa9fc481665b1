"""Micro's end of the bridge."""
