"""Shadow mode: Freqtrade trades by itself, and micro works every order of it on paper as well."""
