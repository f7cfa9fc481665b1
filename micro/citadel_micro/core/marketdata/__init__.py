"""Order books and what is read off them, with how far they can be trusted."""
