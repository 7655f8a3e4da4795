"""What each Sinete process needs to be one: settings, clock, database, HTTP, service tokens."""
