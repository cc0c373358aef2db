"""Mask generators: the contract, a registry by model name, and the generators themselves."""
