"""A machine behind `ssh`: the system's OpenSSH client reaches it, its own Python measures there."""
