"""Ranks on other hosts: a process on each, which starts them there, and the parent's side of it."""
