"""Many parent orders on one recording, plan beside plan: what each costs, and how sure that is."""
