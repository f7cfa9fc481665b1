"""Positions, balances, profit and loss."""
