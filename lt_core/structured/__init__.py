"""Pruning of whole filters: groups of channels, the choice among them, the smaller network."""
