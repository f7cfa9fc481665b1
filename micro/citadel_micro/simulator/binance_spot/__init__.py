"""Binance spot's private protocol over the exchange: REST, websocket API and user data stream."""
