"""The window of `microlith view`, its pictures and movies."""
