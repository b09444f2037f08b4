"""SMART on FHIR: scopes, and both sides of backend services. No user launch of our own.

Whom we let in: front_door.py, and what it is built of. Who we are to EHRs: backend.py asks for a token and keeps it;
keys.py what we sign with and publish, configuration.py what an EHR says of its server, token.py what that answers,
asking.py what is asked for and what was granted.
"""
