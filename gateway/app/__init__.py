"""The only place where parts are constructed and joined, in stages that each know the earlier ones.

`stores` (what is in Redis), `core` (what delivers), `people` (what customers do and ask for), `engines` (what is built on messages), `reacting` (rules over all of it), `gateway` (opening and closing).
"""

from gateway.app.gateway import Gateway
from gateway.app.stores import load_templates, rules_of

__all__ = ["Gateway", "load_templates", "rules_of"]
