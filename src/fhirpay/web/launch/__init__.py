"""`/launch`: the app that EHRs launch, and its pages for staff and patients. Start at `router.py`."""
