"""Real servers that play the other side, with books of their own. They import nothing of ours and share no table.

Shipped in the wheel: demo, docs and tests all use them.
"""
