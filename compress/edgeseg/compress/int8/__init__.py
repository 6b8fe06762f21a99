"""Numbers of INT8: ranges, what goes before them, and the plan that every engine's file is made from."""
