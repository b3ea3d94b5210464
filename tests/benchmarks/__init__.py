"""Speed, measured beside pgbench in the same run: ratios, because machines differ and are noisy."""
