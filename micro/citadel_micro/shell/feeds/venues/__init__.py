"""One module a venue, or a family of venues: its ``SPECS`` are found by being here."""
