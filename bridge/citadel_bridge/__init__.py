"""Channels between the two processes, and the root of the command line."""
