"""The exchange's core, pure: matching, accounts, order records, rules. ``exchange.Exchange`` is its interface."""
