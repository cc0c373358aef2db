"""GeoPackages of segments: written, read, locked and changed in place."""
