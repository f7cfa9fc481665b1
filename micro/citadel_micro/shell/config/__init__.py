"""Configuration of micro."""
