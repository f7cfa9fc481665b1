"""The page: one run of micro in a browser, to look at and to act on."""
