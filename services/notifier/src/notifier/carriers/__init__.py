"""What takes things out of the house: the mail server and the SMS gateway. Bounded, one connection each time, no retries."""
