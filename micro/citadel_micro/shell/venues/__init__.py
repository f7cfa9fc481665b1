"""Adapters between the engine's venue commands and the venues themselves."""
