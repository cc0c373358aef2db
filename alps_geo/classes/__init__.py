"""Classes: the words of a person for segments, learnt from a few samples."""
