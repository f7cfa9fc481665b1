"""Pure simulation: matching, queues, latency, accounts, and synthetic markets."""
