"""What `doctor` asks, and what it says."""
