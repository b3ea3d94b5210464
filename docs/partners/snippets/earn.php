<?php
// php earn.php REFERENCE: one signed sale.
function post(string $path, array $content): string
{
    $url = parse_url(getenv('TESSERA_URL'));
    $authority = strtolower($url['host']) . (isset($url['port']) ? ':' . $url['port'] : '');
    $body = json_encode($content, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES);
    $digest = 'sha-256=:' . base64_encode(hash('sha256', $body, true)) . ':';
    $parameters = '("@method" "@authority" "@path" "@query" "content-type" "content-digest")'
        . ';created=' . time() . ';keyid="' . getenv('TESSERA_KEY_ID') . '";tag="loyalty-v1"';
    $base = "\"@method\": POST\n\"@authority\": $authority\n\"@path\": $path\n\"@query\": ?\n"
        . "\"content-type\": application/json\n\"content-digest\": $digest\n\"@signature-params\": $parameters";
    // The last 32 bytes of an Ed25519 key in PKCS 8 are its seed.
    $der = base64_decode(preg_replace('/-----[A-Z ]+-----|\s/', '', file_get_contents(getenv('TESSERA_KEY'))));
    $key = sodium_crypto_sign_secretkey(sodium_crypto_sign_seed_keypair(substr($der, -32)));
    $signature = base64_encode(sodium_crypto_sign_detached($base, $key));
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => [
            'Content-Type: application/json',
            "Content-Digest: $digest",
            "Signature-Input: sig1=$parameters",
            "Signature: sig1=:$signature:",
        ],
        'content' => $body,
        'ignore_errors' => true,
        'follow_location' => 0,
    ]]);
    $answer = file_get_contents(getenv('TESSERA_URL') . $path, false, $context);
    return explode(' ', $http_response_header[0])[1] . ' ' . $answer;
}

echo post('/v1/accruals', [
    'reference' => $argv[1],
    'occurred_at' => gmdate('Y-m-d\TH:i:s\Z'),
    'outlet' => '330',
    'card' => getenv('CARD'),
    'amount_minor' => 1250,
    'currency' => 'USD',
]), "\n";
