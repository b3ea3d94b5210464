"""The demo: a year of real purchases replayed through the network, and a report of what came out."""
