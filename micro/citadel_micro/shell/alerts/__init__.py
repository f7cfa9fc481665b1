"""Alerts: what a person must know, when, and how it reaches them."""
