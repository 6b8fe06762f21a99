"""Timing itself: clock, warm-up, blocks of calls, cold starts, scenarios, minutes under load."""
