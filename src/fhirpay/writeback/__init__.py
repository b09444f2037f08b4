"""Write-back: what was paid, as the EHR wants to read it, and a record of what each EHR has taken."""
