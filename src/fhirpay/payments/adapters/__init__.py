"""One file per processor, and `<name>_wire.py` with its pure transformers. Each imports domain, port and net only."""
