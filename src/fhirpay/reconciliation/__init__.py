"""What has to agree, and where it doesn't: kinds of breaks, and the matching of EHR, ledger, payouts and bank."""
