"""The shared vocabulary: events, commands, instruments, limits, configuration."""
