"""The bridge against the simulator: the demo and the smoke run."""
