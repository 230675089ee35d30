"""What a snapshot means to a person or a program: the overall state, and JSON documents."""
