"""Runs all of Sinete on one machine without Docker."""
