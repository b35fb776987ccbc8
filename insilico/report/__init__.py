"""Stored results -> a folder that a person can open: nouns, tables, figures, a summary."""
