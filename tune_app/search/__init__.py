"""What a search tries next."""
