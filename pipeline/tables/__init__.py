"""What is stored: parameters, trained networks and all that is computed of them."""
