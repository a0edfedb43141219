"""What the machine gives: devices, threads, and files that are written whole."""
