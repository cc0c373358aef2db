"""The command line of alps-geo: one file per command, thin over the package `alps_geo`."""
