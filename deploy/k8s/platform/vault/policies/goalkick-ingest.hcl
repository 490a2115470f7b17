# Its own login to Kafka and its certificates; keys that can only read market data.
# Made by `goalkick vault render` from the table of access; a test sees that they agree.

path "goalkick/data/services/ingest/*" { capabilities = ["read"] }
path "goalkick/data/venues/market/*" { capabilities = ["read"] }
path "transit/decrypt/goalkick-config" { capabilities = ["update"] }
path "transit/decrypt/goalkick-config-ingest" { capabilities = ["update"] }

# Its own login.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
