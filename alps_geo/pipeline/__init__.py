"""The stages of a run, in order, over scenes or over the images of a folder."""
