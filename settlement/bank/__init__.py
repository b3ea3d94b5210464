"""The bank: accounts, payment files and statements, and what to do when they do not say what we expect."""
