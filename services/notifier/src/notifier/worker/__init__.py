"""The workers: they take up what is owed, and deliver it. Any number of instances may run at once."""
