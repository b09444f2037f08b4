"""What the systems of our clients are told by signed webhooks (standardwebhooks.com): their endpoints and the events.

kinds.py names what is told, events.py keeps and queues it in the unit of the fact, store.py has the rows, signing.py
the secrets and signatures, wording.py the bodies. Endpoints are usecases/webhook_endpoints.py, sending
usecases/send_webhook.py. What processors tell *us* is another matter (usecases/webhook.py).
"""
