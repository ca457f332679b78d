"""What test modules share: servers that are scripted, what runs before them, and makers of data."""
