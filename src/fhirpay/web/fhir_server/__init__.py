"""`/fhir/R4`: reading, searching and writing what we keep, in FHIR R4. Start at `router.py`.

Every answer that isn't a resource is an OperationOutcome with the address of what is wrong. What is declared stands in
conformance/CapabilityStatement-fhirpay.json; a test compares it with what the routes do.
"""
