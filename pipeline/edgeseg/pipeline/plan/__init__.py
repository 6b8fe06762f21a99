"""Which steps, rows and gates a recipe means."""
