"""The HTTP routes, one module a room of the API."""
