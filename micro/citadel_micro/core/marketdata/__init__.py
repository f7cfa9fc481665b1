"""Order books, their integrity checks, and the features read from them."""
