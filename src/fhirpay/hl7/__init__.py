"""HL7 v2 on the wire, without policy: framing, reading, answering, writing. Imports errors and domain only."""
