"""What the commands of ``tonnage knowledge`` do and print."""
