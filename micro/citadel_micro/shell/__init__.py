"""The asyncio shell: sockets, files, clocks and logs around the pure core."""
