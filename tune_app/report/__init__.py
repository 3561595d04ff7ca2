"""Figures, tables and the answer."""
