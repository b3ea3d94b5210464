"""The hub: who a member is and what every account holds."""
