"""What customers do for themselves: by telephone keys, by text, by linking an account, on their preference page."""
