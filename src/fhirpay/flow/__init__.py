"""What inbox and outbox share: work in lanes, leases with fences, backoff, parking, the worker. See `lane.py` first."""
