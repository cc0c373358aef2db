"""Training of segmentation networks on labelled chips, and the models that it leaves."""
