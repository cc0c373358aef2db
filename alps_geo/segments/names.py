"""Names of files of segments, for modules that need no more of them."""

IMAGE = "image.npz"
"""Ending of the name of the file of an image's segments, after its own name."""
