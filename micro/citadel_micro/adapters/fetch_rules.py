"""Fetches one venue's list in a process of its own: ``python -m citadel_micro.adapters.fetch_rules``."""

from citadel_micro.shell.instruments.child import main

if __name__ == "__main__":
    main()
