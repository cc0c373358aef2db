"""The program inside QGIS: a plugin with a Processing provider, and its place in a profile."""
