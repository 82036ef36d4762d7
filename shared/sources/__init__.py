"""Where snapshots come from: one small protocol, one file each."""
