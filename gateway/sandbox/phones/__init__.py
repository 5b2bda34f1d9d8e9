"""The phones page: everything the look-alikes deliver, on the phones of the people it was meant for."""

from .server import phones_app

__all__ = ["phones_app"]
