"""How a node runs: configuration, composition root, command line."""

VERSION = "0.1.0"
