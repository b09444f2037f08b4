"""`/api/v1` and `/webhooks`: payments, refunds, stored methods, what is owed. Start at `router.py`."""
