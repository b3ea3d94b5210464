"""The scheme's own rules: a validated file (spec) compiled once into plain values (compiled)."""
