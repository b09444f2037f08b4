"""What answers over HTTP: the FHIR endpoint, HL7v2 over HTTP, the payments API, health, the operator's socket."""
