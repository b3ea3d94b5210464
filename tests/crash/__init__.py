"""Kill -9 at random under load, and compare the ledger with what the clients were told: `make crash`."""
