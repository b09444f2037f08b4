"""What processors say they have paid out: payouts and their lines, kept line by line."""
