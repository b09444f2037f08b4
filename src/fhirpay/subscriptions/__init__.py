"""Who asked our FHIR endpoint to be told of payments, what they are to be told, and how it is put into words.

asked.py reads a Subscription, store.py keeps it, events.py numbers what happens for each, wording.py writes the
notifications. Asking is usecases/subscribe.py, telling usecases/notify.py. What EHRs tell *us* is another matter
(fhir/notification.py, polling/subscribed.py), and shares no code with this on purpose.
"""
