"""Commands for runs that are there: watch, list, compare and tidy them."""
