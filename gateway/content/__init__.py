"""What a message says: content, templates and the words each channel gets from them."""
