"""Words that go out: names, JSON, commands, the terminal."""
