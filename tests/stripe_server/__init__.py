"""A look-alike of Stripe's API for tests, written from Stripe's public documentation and from nothing of ours.

It is the second party of the contract suite: where a request breaks a rule that Stripe documents, it is refused here as
it is there. Each rule names its page in a comment ("API reference, Create a PaymentIntent"). What a page documents and
this server does not model is refused loudly (`look_alike_limit`), never ignored. `app.py` has the routes, `books.py`
what it believes, `control.py` the handles that Stripe hasn't got.
"""
