"""The asyncio rim: sockets, files, clocks and logs around the pure core."""
