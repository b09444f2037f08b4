"""The one door out: `http.py` a client per destination, `guard.py` where it may not go."""
