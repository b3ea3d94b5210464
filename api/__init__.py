"""HTTP, pages, command line and worker. No rules live here."""
