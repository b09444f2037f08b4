"""What was read at EHRs that we ask for changes: how far we are with each, and who is asking."""
