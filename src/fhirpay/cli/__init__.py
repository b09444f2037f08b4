"""The command line: one file per command group, each command a few lines that call a use case."""
