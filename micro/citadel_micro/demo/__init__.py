"""The whole system on loopback, shown live, with deliberate faults, and audited."""
