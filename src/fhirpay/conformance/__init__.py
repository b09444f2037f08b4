"""What a feed's sender does, against what was agreed: a sample graded, the interface's profile, its specification."""
