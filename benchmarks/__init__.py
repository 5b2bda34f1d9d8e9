"""Benchmarks: the gateway's own processes beside the limits of what they are built on. `gateway bench` runs them."""
