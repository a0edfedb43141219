"""What populations of units do: dimensions, selectivity, subspaces, clusters, causes."""
