"""What everybody speaks of: events, commands, instruments, limits, configuration."""
