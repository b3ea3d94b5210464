"""The night: clearing window, obligations, netting, statements."""
