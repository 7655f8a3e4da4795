"""Two certificate authorities with throw-away keys that speak OAuth2 and CSC."""
