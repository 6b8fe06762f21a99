"""recipe -> the whole chain, its gates and its report; the host's `edgeseg` command."""
