"""An SMTP server and SMS in-tray to read in a browser."""
