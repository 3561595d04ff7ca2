"""From an agenda to results, with Ray Tune."""
