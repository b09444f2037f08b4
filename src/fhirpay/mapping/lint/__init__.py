"""Checks of mapping files before anybody runs them: `check.py` is the entry, each other module one kind of finding."""
