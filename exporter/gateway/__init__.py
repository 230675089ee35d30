"""The gateway's API: credentials, requests, decoding of answers."""
