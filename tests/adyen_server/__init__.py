"""A strict stand-in for Adyen's Checkout API v71 and its standard webhooks, written from Adyen's public documentation.

Each check names the page that it comes from: "API reference" is the OpenAPI document of CheckoutService v71, "Webhooks"
that of Webhooks v1, the others are pages of docs.adyen.com. What the documentation leaves open is said where it is
decided. Its own list of money movements is the oracle of a test; nothing here knows the adapter.
"""
