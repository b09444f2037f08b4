"""The day close: what was expected and what was taken, by facility and till, signed off in the evening."""
