"""The typeface of the pictures; PROVENANCE.md says where it comes from."""
