"""Panels: the groups in which help lists options."""

MODEL, IMAGERY, MASKS, CLUSTERING, OUTPUT = "Model", "Imagery", "Masks", "Clusters", "Output"
