"""The gateway's API: credentials, requests with a deadline, decoding of answers."""
