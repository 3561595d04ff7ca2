"""Results: their type, the directory they lie in, curves over them."""
