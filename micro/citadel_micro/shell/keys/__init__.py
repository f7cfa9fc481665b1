"""API keys of venues: read from private files, and never shown."""
