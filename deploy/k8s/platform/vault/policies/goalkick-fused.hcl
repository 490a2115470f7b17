# Its own login to Kafka and its certificates.
# Made by `goalkick vault render` from the table of access; a test sees that they agree.

path "goalkick/data/services/fused/*" { capabilities = ["read"] }
path "transit/decrypt/goalkick-config" { capabilities = ["update"] }
path "transit/decrypt/goalkick-config-fused" { capabilities = ["update"] }
path "transit/datakey/plaintext/goalkick-state-fused" { capabilities = ["update"] }
path "transit/decrypt/goalkick-state-fused" { capabilities = ["update"] }

# Its own login.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
