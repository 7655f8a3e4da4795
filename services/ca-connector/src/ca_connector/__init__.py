"""Keeps the CA's tokens and speaks its protocols."""
