"""The worklist of an outage: the people nobody reached, as a page to print and as a table."""
