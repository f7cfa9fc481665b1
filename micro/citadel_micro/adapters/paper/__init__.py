"""The paper venue as an order adapter."""
