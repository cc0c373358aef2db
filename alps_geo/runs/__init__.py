"""Runs: folder, plan, stored tiles, record and status of one invocation."""
