"""A strict look-alike of Authorize.Net's JSON API, from its public schema (AnetApiSchema.xsd) and API reference.

Written without looking at the adapter; `tests/contract/test_authorizenet_server_sdk.py` drives it with Authorize.Net's
own SDK. Every check names the element of the schema or the page that it comes from; what these leave open is marked †.
Its own list of money movements (`books.py`) is the oracle of the tests.
"""
