"""Every image tested once, by networks that have not seen it."""
