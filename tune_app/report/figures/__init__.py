"""Figures: panels, curves and captions, drawn without a display by any thread."""
