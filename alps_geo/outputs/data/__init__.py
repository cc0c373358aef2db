"""The typefaces of the pictures; PROVENANCE.md says where they come from."""
