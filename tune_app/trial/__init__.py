"""What one trial does on a worker."""
