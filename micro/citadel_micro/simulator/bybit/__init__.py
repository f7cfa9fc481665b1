"""Bybit v5 spot over the exchange: REST, trade websocket, private and public streams."""
