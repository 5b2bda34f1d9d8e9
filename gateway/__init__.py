"""An omnichannel gateway for customer messages: SMS, e-mail, WeChat and voice behind one API."""

from __future__ import annotations

__version__ = "0.1.0"
