"""What orders have cost, from the journals of their runs: ``citadel tca``."""
