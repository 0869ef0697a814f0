"""What plugin authors test with: the contract every provider must pass, and vendors that run in this process."""
