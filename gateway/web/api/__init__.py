"""The HTTP API, one file per noun. Every file gives the operations it adds to the table."""
