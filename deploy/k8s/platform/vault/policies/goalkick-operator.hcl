# A person who puts secrets in, rotates keys and encrypts configuration.
# Made by `goalkick vault render` from the table of access; a test sees that they agree.

path "goalkick/data/services/*" { capabilities = ["create", "update", "delete"] }
path "goalkick/metadata/services/*" { capabilities = ["list", "read"] }
path "goalkick/data/venues/trading/*" { capabilities = ["create", "update", "delete"] }
path "goalkick/metadata/venues/trading/*" { capabilities = ["list", "read"] }
path "goalkick/data/venues/market/*" { capabilities = ["create", "update", "delete"] }
path "goalkick/metadata/venues/market/*" { capabilities = ["list", "read"] }
path "transit/encrypt/goalkick-config" { capabilities = ["update"] }
path "transit/rewrap/goalkick-config" { capabilities = ["update"] }
path "transit/keys/goalkick-config" { capabilities = ["read"] }
path "transit/keys/goalkick-config/rotate" { capabilities = ["update"] }
path "transit/encrypt/goalkick-config-ingest" { capabilities = ["update"] }
path "transit/rewrap/goalkick-config-ingest" { capabilities = ["update"] }
path "transit/keys/goalkick-config-ingest" { capabilities = ["read"] }
path "transit/keys/goalkick-config-ingest/rotate" { capabilities = ["update"] }
path "transit/encrypt/goalkick-config-feature" { capabilities = ["update"] }
path "transit/rewrap/goalkick-config-feature" { capabilities = ["update"] }
path "transit/keys/goalkick-config-feature" { capabilities = ["read"] }
path "transit/keys/goalkick-config-feature/rotate" { capabilities = ["update"] }
path "transit/encrypt/goalkick-config-prediction" { capabilities = ["update"] }
path "transit/rewrap/goalkick-config-prediction" { capabilities = ["update"] }
path "transit/keys/goalkick-config-prediction" { capabilities = ["read"] }
path "transit/keys/goalkick-config-prediction/rotate" { capabilities = ["update"] }
path "transit/encrypt/goalkick-config-strategy" { capabilities = ["update"] }
path "transit/rewrap/goalkick-config-strategy" { capabilities = ["update"] }
path "transit/keys/goalkick-config-strategy" { capabilities = ["read"] }
path "transit/keys/goalkick-config-strategy/rotate" { capabilities = ["update"] }
path "transit/encrypt/goalkick-config-risk" { capabilities = ["update"] }
path "transit/rewrap/goalkick-config-risk" { capabilities = ["update"] }
path "transit/keys/goalkick-config-risk" { capabilities = ["read"] }
path "transit/keys/goalkick-config-risk/rotate" { capabilities = ["update"] }
path "transit/encrypt/goalkick-config-execution" { capabilities = ["update"] }
path "transit/rewrap/goalkick-config-execution" { capabilities = ["update"] }
path "transit/keys/goalkick-config-execution" { capabilities = ["read"] }
path "transit/keys/goalkick-config-execution/rotate" { capabilities = ["update"] }
path "transit/encrypt/goalkick-config-venue" { capabilities = ["update"] }
path "transit/rewrap/goalkick-config-venue" { capabilities = ["update"] }
path "transit/keys/goalkick-config-venue" { capabilities = ["read"] }
path "transit/keys/goalkick-config-venue/rotate" { capabilities = ["update"] }
path "transit/encrypt/goalkick-config-limiter" { capabilities = ["update"] }
path "transit/rewrap/goalkick-config-limiter" { capabilities = ["update"] }
path "transit/keys/goalkick-config-limiter" { capabilities = ["read"] }
path "transit/keys/goalkick-config-limiter/rotate" { capabilities = ["update"] }
path "transit/encrypt/goalkick-config-fused" { capabilities = ["update"] }
path "transit/rewrap/goalkick-config-fused" { capabilities = ["update"] }
path "transit/keys/goalkick-config-fused" { capabilities = ["read"] }
path "transit/keys/goalkick-config-fused/rotate" { capabilities = ["update"] }

# Its own login.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
