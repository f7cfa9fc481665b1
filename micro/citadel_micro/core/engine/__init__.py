"""The engine's entry point and the handlers behind it."""
