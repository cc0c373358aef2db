"""Clusters: groups of alike segments, their model and how it is fitted and changed."""
