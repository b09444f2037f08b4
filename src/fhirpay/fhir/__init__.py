"""FHIR R4 as fhirpay keeps it: plain JSON objects with exact decimals. Server, client and mapping all use this room.

json.py reads and writes · models.py says which elements there are, validation.py what is wrong with a resource ·
outcome.py turns errors into OperationOutcome · store.py keeps resources and their versions · search.py finds them ·
bundles.py applies transactions.
"""
