"""Review: commands on a finished run, such as names, merges, the gallery and numbers to try."""
