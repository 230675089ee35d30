"""What the gateway, the network and strangers do, and what the exporter makes of it: `make faults`."""
