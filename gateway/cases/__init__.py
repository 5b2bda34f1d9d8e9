"""What went wrong for a person, until it is put right: owned, due, made good, and asked about afterwards."""
