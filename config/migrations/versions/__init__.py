"""The revisions, in order: rNNNN_what.py."""
