"""A sample snapshot: a believable Mendix app's full backup, of any size, the same for the same seed."""
