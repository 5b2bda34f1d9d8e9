"""The only place where parts are constructed and joined, in stages that each know the earlier ones.

`stores` (what is in Redis), `core` (what delivers), `people` (what customers do and ask for), `gateway` (opening and closing).
"""

from gateway.app.gateway import Gateway
from gateway.app.stores import load_templates, rules_of

__all__ = ["Gateway", "load_templates", "rules_of"]
