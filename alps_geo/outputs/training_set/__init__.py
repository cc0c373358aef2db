"""Training sets: chips of labelled scenes, in the layouts that training programs read."""
