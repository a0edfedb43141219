"""What depends on the machine: devices, threads, memory, and atomic writing of files."""
