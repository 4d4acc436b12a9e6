"""What the project needs to make, check and show itself; not part of what is installed."""
