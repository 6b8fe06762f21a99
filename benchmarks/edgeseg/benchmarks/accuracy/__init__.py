"""How well a file sees on images with masks, scored where and when it is timed: `bench run --data DIR`."""
