"""Delivering webhooks: bodies made, names resolved and checked, requests sent, one round after another."""
