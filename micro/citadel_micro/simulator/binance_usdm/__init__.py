"""Binance USD-M over the exchange of futures: public data, private protocol, streams."""
