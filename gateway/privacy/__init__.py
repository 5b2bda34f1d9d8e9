"""What a person may ask of us about themselves: everything we hold, and that we forget it."""
