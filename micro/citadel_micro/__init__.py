"""The execution daemon: market data, risk gate, order execution."""
