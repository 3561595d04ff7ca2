"""The fewest trainings that answer a sweep."""
