"""The commands of a device: verify, predict, evaluate, doctor."""
