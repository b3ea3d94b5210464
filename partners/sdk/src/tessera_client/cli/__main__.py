"""`python -m tessera_client.cli` is `tessera-partner`."""

from tessera_client.cli import main

main()
