"""Events as bytes: protobuf on the wire, JSON for logs and fixtures, canonical bytes for hashes."""
