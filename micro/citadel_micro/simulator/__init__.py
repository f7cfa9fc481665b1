"""The exchange simulator: Binance spot's public REST and websocket protocol on a local port.

Entry points: ``server.SimulatorServer`` inside a process, ``command.sim`` on the command line. This
module imports nothing, so that help on the command line needs no extra.
"""
