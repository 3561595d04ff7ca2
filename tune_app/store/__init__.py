"""What was trained, by id: the record of truth."""
