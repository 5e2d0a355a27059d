"""Pictures and pages from the files of a run."""
