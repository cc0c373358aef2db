"""Segment Anything for tiles: weights, encoders, decoder, and masks from a grid of points."""
