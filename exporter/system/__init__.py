"""The operating system: threads, signals, memory, terminals."""
