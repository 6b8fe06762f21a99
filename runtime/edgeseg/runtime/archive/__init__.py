"""The zip that a bundle is, in the one form it may have: written, read, and what is wrong with one in another."""
