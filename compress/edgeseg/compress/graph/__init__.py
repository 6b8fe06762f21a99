"""What a network is made of: its operations, in order, by kind and in pairs."""
