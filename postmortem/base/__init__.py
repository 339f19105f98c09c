"""The ground floor: errors, units, clock, windows, rooms. Imports nothing of ours."""
