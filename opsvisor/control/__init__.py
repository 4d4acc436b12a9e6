"""The use cases. Every edge (HTTP API, XML-RPC, signals) asks here, and only here."""
