"""Pure rules: what to do with a message now. Nothing here reads a clock, a file or Redis."""
