"""Many cases of one case file: what differs between them, their runs, and one table and pictures of all."""
