"""Raw exchange traffic as files: read, written, recorded."""
