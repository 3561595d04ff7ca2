"""Pruning whole filters: which channels go together, which of them go, the smaller network."""
