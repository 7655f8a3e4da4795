"""Counts every signature of an access grant and watches its clock."""
