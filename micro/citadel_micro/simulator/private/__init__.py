"""What Binance's private protocols have in common: keys, signatures, limits, faults, REST and websocket."""
