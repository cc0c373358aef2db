"""Features: the columns of numbers that describe a segment, in groups."""
