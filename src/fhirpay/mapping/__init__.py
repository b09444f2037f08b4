"""HL7 v2 → FHIR R4. What maps where is data in `mappings/`; this package reads, checks and runs it.

`engine.map_message` is the way in. Pure and synchronous: no clock, no store, no log.
"""
