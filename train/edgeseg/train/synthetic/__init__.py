"""The embedded data set: what is drawn by rule, the surfaces, the defects, and the files of both."""
