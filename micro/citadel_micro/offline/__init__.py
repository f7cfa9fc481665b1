"""One parent order worked on recorded traffic, as fast as the machine can."""
