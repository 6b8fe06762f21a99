"""From a data set's images to what ranges are collected on."""
