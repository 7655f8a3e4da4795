"""E-mails operators about grants that end, and one-time links and codes."""
