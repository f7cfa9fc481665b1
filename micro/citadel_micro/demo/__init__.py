"""The whole system on loopback, watched, hurt on purpose, and audited."""
