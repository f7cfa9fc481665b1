"""Subcommands of ``citadel`` that read or watch what the shell works on."""
