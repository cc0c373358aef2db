"""Segments: the objects of a scene, cut in tiles and stitched without seams."""
