"""Merchants: who takes part, contracts with dated terms, outlets and signing keys."""
