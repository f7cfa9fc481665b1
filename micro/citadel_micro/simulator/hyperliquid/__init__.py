"""Hyperliquid's perpetuals over the exchange of futures: queries, signed actions, one websocket for all."""
