"""One module a stage; each activity is a sync function, idempotent, resumable, minutes at most."""
