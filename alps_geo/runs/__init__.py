"""Runs: the folder of one invocation, its plan, stored tiles, record and state."""
