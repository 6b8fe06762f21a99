"""Networks that others made, taken as steps of ours: how they eat and end is found out, none of it assumed."""
