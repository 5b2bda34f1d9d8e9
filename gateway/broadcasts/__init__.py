"""Broadcasts: one message to an audience, expanded in the background."""
