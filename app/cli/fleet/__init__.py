"""What the commands of ``tonnage fleet`` do and print."""
