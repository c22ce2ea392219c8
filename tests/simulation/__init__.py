"""Deterministic simulation: whole clusters in one process, one thread, under one seed. See DESIGN.md here."""
