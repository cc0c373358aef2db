"""Clusters of segments: their model, its fit and its changes."""
