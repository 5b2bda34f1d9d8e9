"""What is kept of a customer and who may change it: profile, preferences, consent; in and out, as JSON and as files."""
