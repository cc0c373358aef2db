"""Limits and choices of a cluster model, for modules that need no more of the clusters."""

MAX_CLUSTERS = 65535
"""Highest id of a cluster: labels are stored in 16 bits."""

COLORS = ("natural", "distinct")
"""Schemes of colours: like the image, or as unlike each other as can be."""
