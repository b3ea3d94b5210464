#!/bin/sh
# sh earn.sh REFERENCE: one signed sale, with curl and openssl.
set -eu
now="$(date -u +%Y-%m-%dT%H:%M:%SZ)"
body="{\"reference\":\"$1\",\"occurred_at\":\"$now\",\"outlet\":\"330\",\"card\":\"$CARD\",\"amount_minor\":1250,\"currency\":\"USD\"}"
digest="sha-256=:$(printf %s "$body" | openssl dgst -sha256 -binary | base64):"
parameters="(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-type\" \"content-digest\");created=$(date +%s);keyid=\"$TESSERA_KEY_ID\";tag=\"loyalty-v1\""
base="$(mktemp)"
trap 'rm -f "$base"' EXIT
printf '"@method": POST\n"@authority": %s\n"@path": /v1/accruals\n"@query": ?\n"content-type": application/json\n"content-digest": %s\n"@signature-params": %s' \
  "${TESSERA_URL#*://}" "$digest" "$parameters" > "$base"
signature="$(openssl pkeyutl -sign -inkey "$TESSERA_KEY" -rawin -in "$base" | base64 | tr -d '\n')"
curl -sS -w '\n%{http_code}\n' "$TESSERA_URL/v1/accruals" --data-binary "$body" \
  -H "Content-Type: application/json" -H "Content-Digest: $digest" \
  -H "Signature-Input: sig1=$parameters" -H "Signature: sig1=:$signature:"
