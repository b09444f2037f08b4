"""A strict look-alike of Square's API, written from its public documentation and without looking at the adapter.

What it checks names the page it comes from: API reference (developer.squareup.com/reference/square), the OpenAPI file
of square/connect-api-specification, or a guide (developer.squareup.com/docs). What those don't say is decided against
the caller: an order that was paid can't be paid again, a key may be forgotten, a listing may lag. `Books.movements` is
the oracle of a test.
"""
