"""What keeps secrets secret: keyed hashes and blind indexes, and the screen that keeps card numbers out."""
