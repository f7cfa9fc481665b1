"""Subcommands of ``citadel`` for the shell: feeds, captures, trading rules, operator."""
