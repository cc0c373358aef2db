"""The model that ships with the package; PROVENANCE.md says where it comes from."""
