// node earn.mjs REFERENCE: one signed sale.
import { createHash, createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";

const { TESSERA_URL, TESSERA_KEY_ID, TESSERA_KEY, CARD } = process.env;
const key = createPrivateKey(readFileSync(TESSERA_KEY));

async function send(method, target, content) {
  const url = new URL(target, TESSERA_URL);
  const body = content === undefined ? undefined : JSON.stringify(content);
  const covered = [
    ["@method", method],
    ["@authority", url.host],
    ["@path", url.pathname],
    ["@query", url.search || "?"],
  ];
  const headers = {};
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    headers["Content-Digest"] = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
    covered.push(["content-type", headers["Content-Type"]], ["content-digest", headers["Content-Digest"]]);
  }
  const names = covered.map(([name]) => `"${name}"`).join(" ");
  const created = Math.floor(Date.now() / 1000);
  const parameters = `(${names});created=${created};keyid="${TESSERA_KEY_ID}";tag="loyalty-v1"`;
  const lines = covered.map(([name, value]) => `"${name}": ${value}\n`).join("");
  const base = `${lines}"@signature-params": ${parameters}`;
  headers["Signature-Input"] = `sig1=${parameters}`;
  headers["Signature"] = `sig1=:${sign(null, Buffer.from(base), key).toString("base64")}:`;
  return fetch(url, { method, body, headers, redirect: "error" });
}

const answer = await send("POST", "/v1/accruals", {
  reference: process.argv[2],
  occurred_at: new Date().toISOString(),
  outlet: "330",
  card: CARD,
  amount_minor: 1250,
  currency: "USD",
});
console.log(answer.status, await answer.text());
