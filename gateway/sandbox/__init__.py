"""The carriers' look-alikes: Twilio, WeChat and an SMTP host, with the phones they reach.

They speak the carriers' own protocols on loopback, so the gateway's real clients work against them by base URL alone.
Nothing here knows the gateway's domain, and nothing leaves the machine.
"""
