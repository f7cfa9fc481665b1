"""Raw exchange traffic as files: reading, writing, recording."""
