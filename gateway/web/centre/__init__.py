"""The preference centre: what customers see and change of themselves, behind a signed link."""
