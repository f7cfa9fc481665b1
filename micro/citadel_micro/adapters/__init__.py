"""One package a venue, or a family of venues, with everything that is known of it."""
