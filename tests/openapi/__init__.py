"""The released description of the partner API, and what may not change in it."""
