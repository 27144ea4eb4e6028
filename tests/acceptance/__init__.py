"""A package, so that what its tests share ends with the last of them, and does not idle beside all other tests."""
