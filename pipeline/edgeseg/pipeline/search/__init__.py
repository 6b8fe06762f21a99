"""From a trained student to the best network within a budget."""
