"""`microlith fit`: values of a case found from measured curves, with how sure they are."""
