"""Parent and child orders, their states, their store and what is reported of them."""
