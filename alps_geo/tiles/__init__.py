"""Tiles: read, masked and cut into fragments, one by one or in several processes."""
