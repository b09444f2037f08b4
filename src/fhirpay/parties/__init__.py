"""Who and what was merged into whom: the record of merges, and what follows from one for the FHIR resources."""
