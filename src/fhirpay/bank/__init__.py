"""What the practice's bank says: statements read from files, their lines kept, and what they are payouts of."""
