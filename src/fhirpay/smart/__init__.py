"""SMART on FHIR: scopes, both sides of backend services, and we as an app that EHRs launch. No app launches at ours.

Whom we let in: front_door.py, and what it is built of. Who we are to EHRs: backend.py asks for a token and keeps it;
keys.py what we sign with and publish, configuration.py what an EHR says of its server, token.py what that answers,
asking.py what is asked for and what was granted. Who comes to us from an EHR: launch.py, with id_token.py.
"""
