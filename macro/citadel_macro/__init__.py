"""The macro process: Freqtrade with its orders bridged to micro."""
