"""The deciding process: Freqtrade with its orders bridged to micro."""
