"""The gate: every order passes it, and the circuit breakers that close it."""
