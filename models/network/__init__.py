"""What a network is: its parameters, its weights and constraints, and running it."""
