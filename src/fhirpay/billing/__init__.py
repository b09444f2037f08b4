"""What a patient owes, and when it may be asked for. See responsibility.py for the rules, store.py for the rows."""
