"""The commands of the command line, a file a group: each reads its arguments, calls what does the work, and no more."""
