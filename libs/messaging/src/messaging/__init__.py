"""The only code of Sinete that knows Kafka's details."""
