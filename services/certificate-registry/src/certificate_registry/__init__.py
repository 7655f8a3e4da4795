"""Accounts, operators, certificates, client services, and the API operators renew through."""
