"""Exporting a ticket: the network trained under it, as files that others can use."""
