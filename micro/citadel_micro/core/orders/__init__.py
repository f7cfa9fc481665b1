"""Parent and child orders: their states, their store and their reports."""
