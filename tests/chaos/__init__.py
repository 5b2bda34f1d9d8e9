"""What the gateway promises, proved with real processes that are killed, frozen and cut off."""
