"""What the gateways of one platform remember together, in PostgreSQL."""
