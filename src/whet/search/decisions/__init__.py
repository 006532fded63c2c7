"""What the measurements mean for the contract; pure."""
