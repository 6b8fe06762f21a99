"""Who signed a bundle, and what this device accepts: keys, signatures, the policy."""
