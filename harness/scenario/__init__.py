"""Find, layer, interpolate and validate molecule.yml and harness.toml; fixtures."""
