"""Rows of `providers.PROVIDERS`, by where a service runs and whose models it has."""
