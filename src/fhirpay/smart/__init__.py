"""SMART on FHIR: scopes, and whom we let in. No user launch of our own: our tokens are for systems that call us."""
