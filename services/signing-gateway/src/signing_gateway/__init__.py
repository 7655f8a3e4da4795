"""The CSC API that client services sign through."""
