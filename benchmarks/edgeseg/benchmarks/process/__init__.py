"""The fresh process that measures: its job, how it speaks, how it is started and followed."""
