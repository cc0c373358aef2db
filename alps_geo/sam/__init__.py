"""Segment Anything, version 1: weights, encoders, decoder, and masks from a grid of points."""
