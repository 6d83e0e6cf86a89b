"""Scripts for a batch system: what a job asks for, the script of it, and handing it over."""
