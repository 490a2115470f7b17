# Its own login to Kafka and its certificates; the keys that can trade, which nobody else may read.
# Made by `goalkick vault render` from the table of access; a test sees that they agree.

path "goalkick/data/services/execution/*" { capabilities = ["read"] }
path "goalkick/data/venues/trading/*" { capabilities = ["read"] }
path "transit/decrypt/goalkick-config" { capabilities = ["update"] }
path "transit/decrypt/goalkick-config-execution" { capabilities = ["update"] }
path "transit/datakey/plaintext/goalkick-state-execution" { capabilities = ["update"] }
path "transit/decrypt/goalkick-state-execution" { capabilities = ["update"] }

# Its own login.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
