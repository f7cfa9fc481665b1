"""The one door and what stands right behind it."""
