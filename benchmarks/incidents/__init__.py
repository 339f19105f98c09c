"""Simulated incidents with known truth, and the scorer of any tool that prints chains; apart from postmortem."""
