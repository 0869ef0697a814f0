"""Learned: what happened to what was owed, and what came after it."""
