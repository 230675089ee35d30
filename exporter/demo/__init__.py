"""The `demo` command: a gateway that plays a scripted day over HTTP."""
