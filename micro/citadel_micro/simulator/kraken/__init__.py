"""Kraken spot: REST and websocket v2, public and private, over the matching exchange."""
